//! The shuffle maps spaces onto themselves, and stays what it is.

use std::collections::HashSet;

use super::*;

const KEY: [u8; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

/// Every place of the space is taken once, and leads back.
fn is_bijective(shuffle: &Shuffle) {
    let size = shuffle.left * shuffle.right;
    let mut taken = vec![false; usize::try_from(size).unwrap()];
    for number in 0..size {
        let place = shuffle.shuffled(number);
        assert!(!std::mem::replace(&mut taken[usize::try_from(place).unwrap()], true), "{place} is taken twice");
        if number % 7 == 0 {
            assert_eq!(shuffle.unshuffled(place), number);
        }
    }
}

#[test]
fn spaces_are_mapped_onto_themselves_however_they_are_split() {
    for (left, right) in [(1, 1), (1, 999), (999, 1), (2, 3), (7, 1_428), (101, 99), (5_002, 3)] {
        for tweak in [0, 5] {
            is_bijective(&Shuffle::new(&KEY, left, right, tweak));
        }
    }
    is_bijective(&Shuffle::of_length(&KEY, 3));
}

#[test]
#[ignore = "takes a while: make soak runs it"]
fn long_all_of_62_to_the_4_is_mapped_onto_itself() {
    is_bijective(&Shuffle::of_length(&KEY, 4));
    for (left, right) in [(1_000, 1_000), (1, 1_000_000), (1_000_000, 1), (997, 1_009), (62, 16_129)] {
        is_bijective(&Shuffle::new(&KEY, left, right, 9));
    }
}

/// A change of these gives codes out twice.
#[test]
fn codes_of_a_fixed_key_never_change() {
    let codes = Codes::new(&KEY);
    let frozen = [
        (0, "Vu4gn"),
        (1, "TbTuD"),
        (2, "WIM3C"),
        (10_000, "3x5pu"),
        (916_132_831, "iim8s"),
        (916_132_832, "x8b7NA"),
        (916_132_833, "tNlGFc"),
        (57_716_368_415, "omaCqb"),
        (57_716_368_416, "zpWwG0d"),
        (3_579_330_974_623, "2jSR9sM"),
    ];
    for (number, code) in frozen {
        assert_eq!(codes.code(number).as_deref(), Some(code), "{number}");
    }
}

#[test]
fn numbers_and_codes_lead_to_each_other_at_every_border() {
    let codes = Codes::new(&KEY);
    let borders = [0, first_of(6), first_of(7), end()];
    for border in borders {
        for number in border.saturating_sub(50)..border + 50 {
            let Some(code) = codes.code(number) else {
                assert!(number >= end(), "{number}");
                continue;
            };
            assert_eq!(codes.number(&code), Some(number), "{code}");
            let length = if number < first_of(6) {
                5
            } else if number < first_of(7) {
                6
            } else {
                7
            };
            assert_eq!(code.len(), length, "{number}");
        }
    }
    assert_eq!((first_of(5), first_of(6), first_of(7)), (0, 916_132_832, 916_132_832 + 56_800_235_584));
    for (number, next) in
        [(0, first_of(6)), (first_of(6) - 1, first_of(6)), (first_of(6), first_of(7)), (first_of(7), end())]
    {
        assert_eq!(next_length(number), next, "{number}");
    }
    for none in ["", "abcd", "abcdefgh", "ab-cd", "abc_d", "abcdé", "ab cd"] {
        assert_eq!(codes.number(none), None, "{none}");
    }
}

#[test]
fn neighbours_look_unlike_each_other_and_so_do_keys() {
    let codes = Codes::new(&KEY);
    let firsts: HashSet<String> = (0..1_000).filter_map(|number| Some(codes.code(number)?[..2].to_owned())).collect();
    assert!(firsts.len() > 700, "only {} beginnings in 1,000 codes", firsts.len());
    let other = Codes::new(&[7; 16]);
    let same = (0..1_000).filter(|number| codes.code(*number) == other.code(*number)).count();
    assert!(same < 3, "{same} of 1,000 codes are those of another key");
}
