//! `fanfare bench`: measurements, each beside what it is compared with.

use fanfare_bench::{self as bench, Options};

use super::Failure;
use super::args::BenchArgs;

pub(super) fn run(args: &BenchArgs) -> Result<(), Failure> {
    if let Some(part) = args.only.iter().find(|part| part.bench() != args.name) {
        return Err(Failure::Usage(format!("{part:?} is a part of the bench `{}`", part.bench().word())));
    }
    let options = Options {
        name: args.name,
        quick: args.quick,
        json: args.json.clone(),
        svg: args.svg.clone(),
        dir: args.dir.clone().unwrap_or_else(std::env::temp_dir),
        only: args.only.clone(),
        servers: args.servers.clone(),
    };
    bench::run(&options).map_err(|error| Failure::Failed(error.to_string()))
}

pub(super) fn client() -> Result<(), Failure> {
    bench::realtime::client::run().map_err(|error| Failure::Failed(error.to_string()))
}
