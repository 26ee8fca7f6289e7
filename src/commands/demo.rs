//! `fanfare demo`: the server with a sample world that lives.

use super::Failure;
use super::args::DemoArgs;
use crate::config::Settings;

pub(super) fn run(_settings: &Settings, _args: &DemoArgs) -> Result<(), Failure> {
    Err(Failure::Failed("this version cannot do that yet".to_owned()))
}
