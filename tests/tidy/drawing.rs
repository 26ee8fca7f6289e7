//! The drawing of the rooms, made of the floors and of who imports whom: `WRITE_ROOMS=1 cargo test --test tidy drawing`
//! writes `docs/rooms.svg` anew.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::layers::{FLOORS, imports};
use super::root;

const WIDTH: usize = 1_000;
const ROOM_WIDTH: usize = 170;
const ROOM_HEIGHT: usize = 34;
const FLOOR_HEIGHT: usize = 62;
const GAP: usize = 60;

const HEAD: &str = r##"<title id="title">The rooms of src/</title>
<desc id="desc">Each room stands on a floor and imports rooms on lower floors only; arrows point from who imports to what is imported, where no longer way leads there too.</desc>
<style>
.page { fill: #fbfaf6; } rect.box { fill: #fff; stroke: #39424e; stroke-width: 1.4; } text { fill: #1c2430; text-anchor: middle; }
.arrow { stroke: #a4481f; fill: none; stroke-width: 1.4; marker-end: url(#a); }
</style>
<defs><marker id="a" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0L10 5L0 10z" fill="#a4481f"/></marker></defs>
"##;

/// Pairs of rooms, importing and imported.
type Arrows = BTreeSet<(String, String)>;

fn floor_of(room: &str) -> usize {
    FLOORS.iter().position(|rooms| rooms.contains(&room)).unwrap()
}

/// Imports that go down and are no shorter form of a way over other rooms.
fn arrows() -> Arrows {
    let all: Arrows = imports().0.into_keys().filter(|(room, other)| floor_of(other) < floor_of(room)).collect();
    let mut below: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for room in FLOORS.iter().flat_map(|rooms| rooms.iter()) {
        let direct = all.iter().filter(|(from, _)| from == room).map(|(_, to)| to.clone());
        let reached =
            direct.flat_map(|to| below.get(&to).cloned().unwrap_or_default().into_iter().chain([to])).collect();
        below.insert((*room).to_owned(), reached);
    }
    let by_another_way = |from: &str, to: &str| all.iter().any(|(room, over)| room == from && below[over].contains(to));
    all.iter().filter(|(from, to)| !by_another_way(from, to)).cloned().collect()
}

/// Middle of a room's top.
fn place_of(room: &str) -> (usize, usize) {
    let floor = floor_of(room);
    let rooms = FLOORS[floor];
    let whole = rooms.len() * ROOM_WIDTH + (rooms.len() - 1) * GAP;
    let at = rooms.iter().position(|one| *one == room).unwrap();
    let x = (WIDTH - whole) / 2 + at * (ROOM_WIDTH + GAP) + ROOM_WIDTH / 2;
    (x, 24 + (FLOORS.len() - 1 - floor) * FLOOR_HEIGHT)
}

fn drawing(arrows: &Arrows) -> String {
    let height = FLOORS.len() * FLOOR_HEIGHT + 24;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-labelledby=\"title \
         desc\" font-family=\"system-ui, 'Noto Sans', sans-serif\" font-size=\"15\">\n{HEAD}<rect class=\"page\" \
         width=\"{WIDTH}\" height=\"{height}\"/>\n"
    );
    for (from, to) in arrows {
        let ((x, y), (to_x, to_y)) = (place_of(from), place_of(to));
        let y = y + ROOM_HEIGHT;
        // Over more than one floor the arrow goes round the rooms between.
        let over = floor_of(from) - floor_of(to);
        let side: isize = if to_x.max(x) > WIDTH / 2 { 1 } else { -1 };
        let bend = side * (over as isize - 1) * 34;
        let (out, back) = (x as isize + bend, to_x as isize + bend);
        let _ = writeln!(
            svg,
            "<path class=\"arrow\" data-from=\"{from}\" data-to=\"{to}\" d=\"M{x} {y}C{out} {} {back} {} {to_x} {to_y}\"/>",
            y + 30,
            to_y - 30
        );
    }
    for room in FLOORS.iter().flat_map(|rooms| rooms.iter()) {
        let (x, y) = place_of(room);
        let _ = writeln!(
            svg,
            "<g class=\"room\" data-room=\"{room}\"><rect class=\"box\" x=\"{}\" y=\"{y}\" width=\"{ROOM_WIDTH}\" \
             height=\"{ROOM_HEIGHT}\" rx=\"7\"/><text x=\"{x}\" y=\"{}\">{room}</text></g>",
            x - ROOM_WIDTH / 2,
            y + 22
        );
    }
    svg.push_str("</svg>\n");
    svg
}

#[test]
fn the_drawing_shows_the_rooms_and_their_imports() {
    let path = root().join("docs/rooms.svg");
    if std::env::var_os("WRITE_ROOMS").is_some() {
        std::fs::write(&path, drawing(&arrows())).unwrap();
    }
    let drawn = std::fs::read_to_string(&path).unwrap();
    assert!(
        drawn == drawing(&arrows()),
        "docs/rooms.svg shows other rooms or imports: WRITE_ROOMS=1 cargo test --test tidy drawing"
    );
}
