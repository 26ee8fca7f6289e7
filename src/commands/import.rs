//! `fanfare import`: a real graph and its activity through the real pipeline.

use super::Failure;
use super::args::ImportArgs;
use crate::config::Settings;

pub(super) fn run(_settings: &Settings, _args: &ImportArgs) -> Result<(), Failure> {
    Err(Failure::Failed("this version cannot do that yet".to_owned()))
}
