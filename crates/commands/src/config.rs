//! `fanfare config`: the settings file that teaches, or a check of one.

use fanfare::base::output::say;
use fanfare::config::Settings;
use fanfare::users::jwt_keys::{JwtSettings, JwtVerifier};

use super::args::ConfigArgs;
use super::{Failure, block_on};

pub(super) fn run(args: &ConfigArgs) -> Result<(), Failure> {
    let text = match &args.check {
        None => Settings::example(),
        Some(file) => {
            let settings = Settings::load(Some(file), std::env::vars_os())?;
            let remarks = block_on(&settings, check(&settings))?;
            let remarks: String = remarks.iter().map(|remark| format!("note: {remark}\n")).collect();
            format!("{remarks}{} and the environment are fine\n", file.display())
        }
    };
    say(text.trim_end_matches('\n'))?;
    Ok(())
}

/// Reads and fetches what settings name, and changes nothing; answers what is remarkable.
async fn check(settings: &Settings) -> Result<Vec<String>, Failure> {
    Ok(JwtVerifier::open(JwtSettings::of(settings)).await?.remarks())
}
