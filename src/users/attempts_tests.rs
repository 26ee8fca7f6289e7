//! The count of wrong passwords against a list of all of them.

use std::net::IpAddr;

use proptest::prelude::*;

use super::*;

const BOUNDS: Bounds = Bounds { per_account: 3, per_network: 5, window_ms: 100 };

fn network(number: u8) -> Network {
    IpAddr::from([192, 0, 2, number]).into()
}

/// Step of a test.
#[derive(Debug, Clone)]
enum Step {
    /// Time passes.
    Pass(u64),
    /// An attempt begins.
    Begin(u64, u8),
    /// The oldest attempt under way ends.
    Settle(Tried),
}

fn step() -> impl Strategy<Value = Step> {
    let outcome = prop_oneof![
        6 => Just(Tried::Wrong),
        2 => Just(Tried::Right),
        1 => Just(Tried::Unknown),
    ];
    prop_oneof![
        1 => (0..60_u64).prop_map(Step::Pass),
        4 => (0..3_u64, 0..2_u8).prop_map(|(account, network)| Step::Begin(account, network)),
        3 => outcome.prop_map(Step::Settle),
    ]
}

/// Every wrong password that ever was, and what is under way.
#[derive(Default)]
struct Oracle {
    wrong: Vec<(u64, u64, u8)>,
    /// Wrong passwords forgotten for their account.
    forgiven: Vec<bool>,
    under_way: VecDeque<(u64, u8)>,
}

impl Oracle {
    fn counts(&self, now_ms: u64, account: u64, network: u8) -> (Vec<u64>, Vec<u64>) {
        let recent = |(at_ms, _, of): &(u64, u64, u8)| at_ms + BOUNDS.window_ms > now_ms && *of == network;
        let of_network = self.wrong.iter().filter(|one| recent(one)).map(|one| one.0).collect();
        let of_pair = self.wrong.iter().zip(&self.forgiven);
        let of_pair = of_pair.filter(|(one, forgiven)| recent(one) && one.1 == account && !**forgiven);
        (of_pair.map(|(one, _)| one.0).collect(), of_network)
    }

    fn expects(&self, now_ms: u64, account: u64, network: u8) -> Admission {
        let (of_pair, of_network) = self.counts(now_ms, account, network);
        let until = |list: &[u64], bound: usize| (list.len() >= bound).then(|| list[0] + BOUNDS.window_ms - now_ms);
        let full = [until(&of_pair, BOUNDS.per_account), until(&of_network, BOUNDS.per_network)];
        if let Some(retry_after_ms) = full.into_iter().flatten().max() {
            return Admission::Refused { retry_after_ms };
        }
        let pending_pair = self.under_way.iter().filter(|one| **one == (account, network)).count();
        let pending_network = self.under_way.iter().filter(|one| one.1 == network).count();
        let room = of_pair.len() + pending_pair < BOUNDS.per_account
            && of_network.len() + pending_network < BOUNDS.per_network;
        if room { Admission::Go } else { Admission::Wait }
    }
}

proptest! {
    #[test]
    fn every_answer_is_that_of_a_list_of_all_wrong_passwords(steps in prop::collection::vec(step(), 0..200)) {
        let (mut attempts, mut oracle, mut now_ms) = (Attempts::new(BOUNDS), Oracle::default(), 1_000);
        for step in steps {
            match step {
                Step::Pass(ms) => now_ms += ms,
                Step::Begin(account, from) => {
                    let entry = attempts.begin(now_ms, HandleHash(account), network(from));
                    prop_assert_eq!(entry, oracle.expects(now_ms, account, from));
                    if entry == Admission::Go {
                        oracle.under_way.push_back((account, from));
                    }
                }
                Step::Settle(outcome) => {
                    let Some((account, from)) = oracle.under_way.pop_front() else { continue };
                    attempts.settle(now_ms, HandleHash(account), network(from), outcome);
                    match outcome {
                        Tried::Wrong => {
                            oracle.wrong.push((now_ms, account, from));
                            oracle.forgiven.push(false);
                        }
                        Tried::Right => {
                            for (one, forgiven) in oracle.wrong.iter().zip(&mut oracle.forgiven) {
                                *forgiven |= (one.1, one.2) == (account, from);
                            }
                        }
                        Tried::Unknown => {}
                    }
                }
            }
            // Within any window nobody got more guesses than they may.
            for account in 0..3 {
                let (of_pair, of_network) = oracle.counts(now_ms, account, 0);
                prop_assert!(of_pair.len() <= BOUNDS.per_account && of_network.len() <= BOUNDS.per_network);
            }
        }
    }
}

#[test]
fn what_has_expired_leaves_nothing_behind() {
    let mut attempts = Attempts::new(BOUNDS);
    for account in 0..3 {
        assert_eq!(attempts.begin(0, HandleHash(account), network(1)), Admission::Go);
        attempts.settle(0, HandleHash(account), network(1), Tried::Wrong);
    }
    assert_eq!(attempts.begin(100, HandleHash(9), network(2)), Admission::Go);
    attempts.settle(100, HandleHash(9), network(2), Tried::Unknown);
    assert!(attempts.log.is_empty() && attempts.pairs.is_empty() && attempts.networks.is_empty());
}

#[test]
fn when_too_many_are_remembered_the_oldest_is_forgotten() {
    let mut attempts = Attempts::remembering(BOUNDS, 4);
    for number in 0..10 {
        assert_eq!(attempts.begin(number, HandleHash(number), network(number as u8)), Admission::Go);
        attempts.settle(number, HandleHash(number), network(number as u8), Tried::Wrong);
    }
    assert_eq!((attempts.log.len(), attempts.pairs.len(), attempts.networks.len()), (4, 4, 4));
}

#[test]
fn so_many_of_a_network_wait_and_who_waits_is_forgotten_when_it_leaves() {
    let mut attempts = Attempts::new(BOUNDS);
    assert!((0..ATTEMPTS_WAITING_MAX).all(|_| attempts.wait(network(1))));
    assert!(!attempts.wait(network(1)) && attempts.wait(network(2)));
    attempts.waited(network(1));
    assert!(attempts.wait(network(1)));
    (0..ATTEMPTS_WAITING_MAX).for_each(|_| attempts.waited(network(1)));
    attempts.waited(network(2));
    assert!(attempts.networks.is_empty());
}

#[test]
fn an_attempt_that_is_told_to_wait_leaves_nothing_behind() {
    let mut attempts = Attempts::new(BOUNDS);
    let accounts = (0..BOUNDS.per_network as u64).map(HandleHash);
    accounts.clone().for_each(|account| assert_eq!(attempts.begin(0, account, network(1)), Admission::Go));
    for other in 1_000..1_100 {
        assert_eq!(attempts.begin(0, HandleHash(other), network(1)), Admission::Wait);
    }
    assert_eq!(attempts.pairs.len(), BOUNDS.per_network, "those under way");
    accounts.for_each(|account| attempts.settle(0, account, network(1), Tried::Unknown));
    assert!(attempts.pairs.is_empty() && attempts.networks.is_empty());
}
