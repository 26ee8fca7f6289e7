//! Admission against a plain model of the whole log, and against variants of it that lack a rule.

use proptest::prelude::*;

use super::*;
use crate::random::Random;

const NOW_MS: u64 = 1_800_000_000_000;

/// An id minted `ms` after (or before) a fixed moment.
fn id_at(ms: i64, sequence: u64) -> u64 {
    (NOW_MS.saturating_add_signed(ms) - ID_EPOCH_MS) << ID_BELOW_MS_BITS | sequence
}

fn record(term: u64, number: u64, id: u64) -> Header {
    Header::Record { turn: Turn { term: Term(term), number }, id }
}

const CLAIM: Header = Header::Claim { is_import: false };
const IMPORT: Header = Header::Claim { is_import: true };

/// Verdicts over entries that were appended at `NOW_MS`.
fn verdicts(log: &[Header]) -> Vec<Verdict> {
    let mut position = Position::START;
    (0..).zip(log).map(|(offset, header)| position.admit(Offset(offset), header, NOW_MS)).collect()
}

#[test]
fn a_record_counts_under_the_newest_claim_only() {
    let (a, b, c) = (id_at(0, 1), id_at(0, 2), id_at(0, 3));
    let log = [record(0, 0, a), CLAIM, record(1, 0, a), CLAIM, record(1, 1, b), record(3, 0, b), record(9, 0, c)];
    use Verdict::{Counts, OtherTerm};
    assert_eq!(verdicts(&log), [OtherTerm, Counts, Counts, Counts, OtherTerm, Counts, OtherTerm]);
}

#[test]
fn a_doubled_append_is_a_repeat_and_disturbs_nothing() {
    let (a, b, c) = (id_at(0, 1), id_at(0, 2), id_at(0, 3));
    let log = [CLAIM, record(0, 0, a), record(0, 1, b), record(0, 0, a), record(0, 1, b), record(0, 2, c)];
    use Verdict::{Counts, Repeat};
    assert_eq!(verdicts(&log), [Counts, Counts, Counts, Repeat, Repeat, Counts]);
}

#[test]
fn an_id_that_is_not_above_the_last_counts_in_no_term() {
    let (a, b) = (id_at(0, 5), id_at(0, 4));
    let log = [CLAIM, record(0, 0, a), CLAIM, record(2, 0, a), record(2, 0, b), record(2, 0, id_at(0, 6))];
    use Verdict::{Counts, Repeat};
    assert_eq!(verdicts(&log), [Counts, Counts, Counts, Repeat, Repeat, Counts]);
}

#[test]
fn a_hole_in_the_numbers_ends_the_term_until_the_next_claim() {
    let id = |sequence| id_at(0, sequence);
    let log = [CLAIM, record(0, 0, id(1)), record(0, 2, id(3)), record(0, 1, id(4)), CLAIM, record(4, 0, id(5))];
    use Verdict::{Counts, Hole, OtherTerm};
    assert_eq!(verdicts(&log), [Counts, Counts, Hole, OtherTerm, Counts, Counts]);
}

#[test]
fn an_id_of_another_time_counts_in_an_import_only() {
    let (early, late) = (id_at(-5_001, 0), id_at(5_001, 0));
    let (just_early, just_late) = (id_at(-5_000, 0), id_at(5_000, 0));
    use Verdict::{Counts, OtherTime};
    assert_eq!(verdicts(&[CLAIM, record(0, 0, early)]), [Counts, OtherTime]);
    assert_eq!(verdicts(&[CLAIM, record(0, 0, late)]), [Counts, OtherTime]);
    assert_eq!(verdicts(&[CLAIM, record(0, 0, just_early), record(0, 1, just_late)]), [Counts; 3]);
    assert_eq!(verdicts(&[IMPORT, record(0, 0, early), record(0, 1, late)]), [Counts; 3]);
    // And what lies behind such a one does not stand without it.
    let behind = verdicts(&[CLAIM, record(0, 0, early), record(0, 1, id_at(0, 0))]);
    assert_eq!(behind, [Counts, OtherTime, Verdict::Hole]);
}

#[test]
fn records_of_before_claims_count_until_the_first() {
    use Verdict::{Counts, OtherTerm};
    let log = [Header::Unclaimed, Header::Unclaimed, CLAIM, Header::Unclaimed];
    assert_eq!(verdicts(&log), [Counts, Counts, Counts, OtherTerm]);
}

#[test]
fn a_call_is_admitted_as_a_whole_or_not() {
    let mut position = Position::START;
    position.admit(Offset(0), &CLAIM, 0);
    let turn = Turn::first(Term(0));
    let after = position.admit_call(turn, [3, 5].into_iter()).unwrap();
    assert_eq!((after.offset, after.last_id, after.number), (Offset(3), 5, 2));
    assert_eq!(position.admit_call(turn, [].into_iter()), Ok(position));
    assert_eq!(after.admit_call(turn, [6].into_iter()), Err(after), "a number again");
    let next = Turn { number: 2, ..turn };
    assert_eq!(after.admit_call(next, [6, 6].into_iter()), Err(after), "an id again");
    let ended = after.admit_call(Turn { number: 3, ..turn }, [6].into_iter()).unwrap_err();
    assert_eq!(ended, Position { number: Position::ENDED, ..after });
    assert_eq!(ended.admit_call(next, [6].into_iter()), Err(ended));
    assert_eq!(ended.admit_call(next, [].into_iter()), Err(ended));
}

/// Entry with the moment of its append.
type Appended = (Header, u64);

/// Two owners, who claim, sleep, append late, append twice, lose appends, and whose clocks are off.
fn history(seed: u64) -> Vec<Appended> {
    let mut random = Random::new(seed);
    let mut log: Vec<Appended> = Vec::new();
    let mut now_ms = NOW_MS;
    // Term, next number, last id, and what was decided and is not appended yet.
    let mut owners: [(Option<u64>, u64, u64, Vec<Header>); 2] = Default::default();
    for _ in 0..random.below(3) {
        log.push((Header::Unclaimed, now_ms));
    }
    while log.len() < 60 {
        now_ms += [0, 1, 500, 4_000][random.below(4) as usize];
        let (term, number, last_id, asleep) = &mut owners[random.below(2) as usize];
        match (random.below(10), *term) {
            (0, _) | (_, None) => {
                let known = log
                    .iter()
                    .filter_map(|entry| if let Header::Record { id, .. } = entry.0 { Some(id) } else { None });
                *last_id = known.max().unwrap_or_default();
                (*term, *number) = (Some(log.len() as u64), 0);
                log.push((Header::Claim { is_import: random.percent(10) }, now_ms));
            }
            (1, _) => asleep.drain(..).for_each(|entry| log.push((entry, now_ms))),
            (2, _) if !log.is_empty() => log.push((log[random.below(log.len() as u64) as usize].0, now_ms)),
            (_, Some(term)) => {
                let drift_ms = [0, 0, 0, 4_900, 6_000][random.below(5) as usize];
                let minted = (now_ms + drift_ms - 2_450 - ID_EPOCH_MS) << ID_BELOW_MS_BITS;
                let id = if random.percent(90) { minted.max(*last_id + 1) } else { minted };
                let header = record(term, *number, id);
                (*number, *last_id) = (*number + 1, id.max(*last_id));
                match random.below(10) {
                    0 => {}
                    1 | 2 => asleep.push(header),
                    _ => log.push((header, now_ms)),
                }
            }
        }
    }
    // A doubled claim is one more claim; its own offset names it.
    log
}

/// Whether each record counts, looked up anew for each in all that came before it.
fn model(log: &[Appended]) -> Vec<bool> {
    let mut counts: Vec<bool> = Vec::new();
    for (at, (header, appended_ms)) in log.iter().enumerate() {
        let claim = (0..at).rev().find(|&before| matches!(log[before].0, Header::Claim { .. }));
        let stands = match (header, claim) {
            (Header::Claim { .. }, _) => true,
            (Header::Unclaimed, claim) => claim.is_none(),
            (Header::Record { .. }, None) => false,
            (Header::Record { turn, id }, Some(claim)) => {
                let before = |range: std::ops::Range<usize>| {
                    range.filter(|&before| counts[before]).filter_map(|before| match log[before].0 {
                        Header::Record { turn, id } => Some((turn.number, id)),
                        _ => None,
                    })
                };
                let last_id = before(0..at).map(|(_, id)| id).max().unwrap_or_default();
                let next = before(claim..at).count() as u64;
                // Somebody skipped a number in this term, with an id that was no repeat.
                let is_over = (claim..at).any(|earlier| match log[earlier].0 {
                    Header::Record { turn: other, id } if other.term == turn.term && !counts[earlier] => {
                        let next = before(claim..earlier).count() as u64;
                        let last_id = before(0..earlier).map(|(_, id)| id).max().unwrap_or_default();
                        other.number > next && id > last_id
                    }
                    _ => false,
                });
                let is_import = log[claim].0 == IMPORT;
                let is_near = unix_ms_of(*id).abs_diff(*appended_ms) <= APPEND_DRIFT_MS_MAX;
                turn.term == Term(claim as u64)
                    && !is_over
                    && *id > last_id
                    && turn.number == next
                    && (is_import || is_near)
            }
        };
        counts.push(stands);
    }
    counts
}

/// A way to decide; the right one is [`Position::admit`].
type Decide = fn(&mut Position, Offset, &Header, u64) -> Verdict;

fn decided(log: &[Appended], decide: Decide) -> Vec<bool> {
    let mut position = Position::START;
    let entries = (0..).zip(log);
    entries
        .map(|(offset, (header, ms))| decide(&mut position, Offset(offset), header, *ms) == Verdict::Counts)
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn what_counts_is_what_the_model_says_from_wherever_one_starts(seed: u64, from in 0..60_usize) {
        let log = history(seed);
        let expected = model(&log);
        prop_assert_eq!(&decided(&log, Position::admit), &expected, "seed {:#x}", seed);
        let mut position = Position::START;
        for (offset, (header, ms)) in (0..).zip(&log[..from]) {
            position.admit(Offset(offset), header, *ms);
        }
        for (offset, (header, ms)) in (0..).zip(&log).skip(from) {
            let counts = position.admit(Offset(offset), header, *ms) == Verdict::Counts;
            prop_assert_eq!(counts, expected[offset as usize], "seed {:#x}, offset {}", seed, offset);
        }
    }
}

/// Variants that lack a rule: if the histories cannot tell them apart from the right one, they test nothing.
#[test]
fn a_variant_without_a_rule_is_caught_by_stored_seeds() {
    let without_term: Decide = |position, offset, header, ms| {
        let header = match *header {
            Header::Record { turn, id } if position.term.is_some() => {
                Header::Record { turn: Turn { term: position.term.unwrap(), ..turn }, id }
            }
            other => other,
        };
        position.admit(offset, &header, ms)
    };
    let without_id: Decide = |position, offset, header, ms| {
        if let Header::Record { turn, .. } = header
            && turn.number >= position.number
        {
            position.last_id = 0;
        }
        position.admit(offset, header, ms)
    };
    let without_numbers: Decide = |position, offset, header, ms| {
        if let Header::Record { turn, .. } = header
            && turn.number > position.number
            && position.term == Some(turn.term)
        {
            position.number = turn.number;
        }
        position.admit(offset, header, ms)
    };
    let without_end: Decide = |position, offset, header, ms| {
        let number = position.number;
        let verdict = position.admit(offset, header, ms);
        if verdict == Verdict::Hole {
            position.number = number;
        }
        verdict
    };
    let without_time: Decide = |position, offset, header, ms| {
        position.is_import |= matches!(header, Header::Record { .. });
        position.admit(offset, header, ms)
    };
    let import_for_ever: Decide = |position, offset, header, ms| {
        let is_import = position.is_import;
        let verdict = position.admit(offset, header, ms);
        position.is_import |= is_import;
        verdict
    };
    let variants = [without_term, without_id, without_numbers, without_end, without_time, import_for_ever];
    for (variant, decide) in variants.into_iter().enumerate() {
        let caught = (0..300).filter(|&seed| {
            let log = history(seed);
            decided(&log, decide) != model(&log)
        });
        assert!(caught.count() >= 3, "variant {variant} passes for the right one");
    }
}
