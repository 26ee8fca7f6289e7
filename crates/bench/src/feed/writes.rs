//! Rates and processor time of a server over HTTP, for posts and pages: of this one, or of several versions of it in
//! turn (`--server`), each of which is started anew in every round.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::http::{CONNECTIONS, People, Person, get, measured, new_post, people, request};
use super::load::Request;
use super::report::{Goal, Row};
use super::serve::Server;
use super::world::text;
use super::{Bench, Result, median};

/// Rounds, in each of which every server has its turn.
const ROUNDS: usize = 7;
const ROUNDS_QUICK: usize = 5;
/// A version may cost so many times what the first does, and do as many times less.
const RATIO_MAX: f64 = 1.05;

/// Kinds of requests, by name.
const KINDS: [(&str, Kind); 3] = [
    ("feed pages", Kind::Page),
    ("durable posts", Kind::Post(|_| new_post())),
    ("durable posts that mention one person", Kind::Post(naming_the_next)),
];

#[derive(Clone, Copy)]
enum Kind {
    Page,
    /// A post with the body of the person of that number.
    Post(fn(usize) -> String),
}

/// Figures of one server, by kind, one of each round.
#[derive(Default)]
struct Figures {
    rates: [Vec<f64>; KINDS.len()],
    costs: [Vec<f64>; KINDS.len()],
}

/// Mentions the person after `number`, the same each time.
fn naming_the_next(number: usize) -> String {
    format!(r#"{{"text":"Have you seen this, @reader{}? {}"}}"#, (number + 1) % CONNECTIONS, &text()[..240])
}

/// Rows of each kind.
pub fn run(bench: &mut Bench) -> Result<()> {
    let servers = match bench.servers.clone() {
        named if named.is_empty() => vec![std::env::current_exe()?],
        named => named,
    };
    let mut figures: Vec<Figures> = servers.iter().map(|_| Figures::default()).collect();
    for round in 0..bench.size(ROUNDS, ROUNDS_QUICK) {
        for (server, figures) in servers.iter().zip(&mut figures) {
            bench.say(&format!("writes: round {}, {}", round + 1, server.display()));
            turn(bench, server, figures)?;
        }
    }
    for (kind, (name, _)) in KINDS.iter().enumerate() {
        let least = Goal::ratio(1.0 / RATIO_MAX);
        let rates = figures.iter_mut().map(|figures| &mut figures.rates[kind]);
        compare(bench, &format!("{name} over HTTP, {CONNECTIONS} connections"), "a second", least, &servers, rates);
        let most = Goal { ratio_at_most: Some(RATIO_MAX), ..Goal::default() };
        let costs = figures.iter_mut().map(|figures| &mut figures.costs[kind]);
        compare(bench, &format!("processor time of each of the {name}"), "µs", most, &servers, costs);
    }
    Ok(())
}

/// Rows of one figure of all servers: each is the median of its rounds, and stands beside the first server's.
fn compare<'a>(
    bench: &mut Bench,
    name: &str,
    unit: &'static str,
    goal: Goal,
    servers: &[PathBuf],
    figures: impl Iterator<Item = &'a mut Vec<f64>>,
) {
    let mut first: Option<(String, f64)> = None;
    for (server, figures) in servers.iter().zip(figures) {
        let value = median(figures);
        let (least, most) = (figures.first().copied().unwrap_or(value), figures.last().copied().unwrap_or(value));
        let server = server.display().to_string();
        let row = Row::new(format!("{name}, {least:.1} to {most:.1}: {server}"), value, unit);
        bench.report.add(match &first {
            None => row,
            Some((beside, at)) => row.beside(beside.clone(), *at).goal(goal),
        });
        first.get_or_insert((server, value));
    }
}

/// Takes the figures of one round of a server.
fn turn(bench: &Bench, program: &Path, figures: &mut Figures) -> Result<()> {
    let folder = bench.folder()?;
    let server = Server::start_program(program, folder.path())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let people = runtime.block_on(people(server.address))?;
    let (warm_up, time) = bench.size((1.0, 5.0), (0.5, 2.0));
    let (warm_up, time) = (Duration::from_secs_f64(warm_up), Duration::from_secs_f64(time));
    for ((_, kind), (rates, costs)) in KINDS.iter().zip(figures.rates.iter_mut().zip(&mut figures.costs)) {
        let asked: Vec<Request> =
            people.readers.iter().enumerate().map(|(number, reader)| kind.request(&people, number, reader)).collect();
        let (load, cost) = measured(server.address, &[server.process.id()], &asked, warm_up, time)?;
        rates.push(load.rate);
        costs.push(cost);
    }
    Ok(())
}

impl Kind {
    /// Request of the person of that number, for again and again.
    fn request(self, people: &People, number: usize, reader: &Person) -> Request {
        match self {
            Self::Page => get("/v1/feed", Some(&reader.token), people),
            Self::Post(body) => {
                let bytes = request("POST", "/v1/posts", Some(&reader.token), &body(number));
                Request { bytes, status: 201, body_bytes: None }
            }
        }
    }
}
