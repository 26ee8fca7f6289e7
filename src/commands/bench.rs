//! `fanfare bench`: measurements, each beside what it is compared with.

use super::Failure;
use super::args::BenchArgs;
use crate::bench::{self, Options};

pub(super) fn run(args: &BenchArgs) -> Result<(), Failure> {
    if args.name != bench::FEED {
        return Err(Failure::Usage(format!("there is no bench `{}`; there is: {}", args.name, bench::FEED)));
    }
    let options = Options {
        quick: args.quick,
        json: args.json.clone(),
        svg: args.svg.clone(),
        dir: args.dir.clone().unwrap_or_else(std::env::temp_dir),
        only: args.only.clone(),
    };
    bench::run(&options).map_err(|error| Failure::Failed(error.to_string()))
}
