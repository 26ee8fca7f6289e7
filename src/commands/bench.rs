//! `fanfare bench`: measurements, each beside what it is compared with.

use super::Failure;
use super::args::BenchArgs;

pub(super) fn run(_args: &BenchArgs) -> Result<(), Failure> {
    Err(Failure::Failed("this version cannot do that yet".to_owned()))
}
