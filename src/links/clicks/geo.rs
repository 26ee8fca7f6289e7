//! Country and city of an address, from a file in MaxMind's format that the operator gives. Without one there are none.

use std::net::IpAddr;
use std::path::Path;

use maxminddb::{Reader, path};

use super::click::cut;

/// Kinds of file that know of countries, by a word in their name.
const KINDS: [&str; 4] = ["country", "city", "enterprise", "location"];

/// Place of an address.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Whereabouts<'a> {
    /// Country, in two letters.
    pub country: Option<&'a str>,
    /// City, in English.
    pub city: Option<&'a str>,
}

/// File of addresses, in memory.
pub struct Geo(Reader<Vec<u8>>);

impl Geo {
    /// Reads the file.
    ///
    /// # Errors
    /// What is wrong with it, for people: it is not there, is cut off, or knows of other things than countries.
    pub fn open(path: &Path) -> Result<Self, String> {
        let reader = Reader::open_readfile(path).map_err(|error| error.to_string())?;
        let kind = reader.metadata().database_type.to_string();
        if !KINDS.iter().any(|known| kind.to_ascii_lowercase().contains(known)) {
            return Err(format!("it holds {kind:?}, and no countries"));
        }
        Ok(Self(reader))
    }

    /// Place of the address, as far as the file knows.
    #[must_use]
    pub fn whereabouts(&self, address: IpAddr) -> Whereabouts<'_> {
        let Ok(found) = self.0.lookup(address.to_canonical()) else { return Whereabouts::default() };
        let text = |path: &[_]| found.decode_path::<&str>(path).ok().flatten().map(cut).filter(|name| !name.is_empty());
        let country = text(&path!["country", "iso_code"]).or_else(|| text(&path!["country_code"]));
        let city = text(&path!["city", "names", "en"]).or_else(|| text(&path!["city"]));
        Whereabouts { country: country.filter(|code| code.len() == 2), city }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(name: &str) -> Option<std::path::PathBuf> {
        let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data/geoip")).join(name);
        if !path.exists() {
            eprintln!("skipped: there is no {}", path.display());
            return None;
        }
        Some(path)
    }

    #[test]
    fn countries_and_cities_are_those_of_the_file() {
        let (Some(city), Some(country)) = (data("GeoIP2-City-Test.mmdb"), data("GeoLite2-Country-Test.mmdb")) else {
            return;
        };
        let (city, country) = (Geo::open(&city).unwrap(), Geo::open(&country).unwrap());
        let at = |address: &str| address.parse::<IpAddr>().unwrap();
        let gb = Whereabouts { country: Some("GB"), city: Some("Boxford") };
        assert_eq!(city.whereabouts(at("2.125.160.216")), gb);
        assert_eq!(city.whereabouts(at("::ffff:2.125.160.216")), gb);
        assert_eq!(country.whereabouts(at("2.125.160.216")), Whereabouts { city: None, ..gb });
        assert_eq!(city.whereabouts(at("127.0.0.1")), Whereabouts::default());
    }

    #[test]
    fn a_file_that_is_missing_cut_off_or_of_another_kind_is_refused_with_words() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Geo::open(&folder.path().join("none.mmdb")).is_err());
        let Some(city) = data("GeoIP2-City-Test.mmdb") else { return };
        let bytes = std::fs::read(city).unwrap();
        for length in [0, 100, bytes.len() / 2, bytes.len() - 1] {
            let cut_off = folder.path().join("cut.mmdb");
            std::fs::write(&cut_off, &bytes[..length]).unwrap();
            // What is left may be a whole one by its own words: then it answers, and never panics.
            if let Ok(geo) = Geo::open(&cut_off) {
                let _ = geo.whereabouts(IpAddr::from([2, 125, 160, 216]));
            }
        }
        assert!(Geo::open(&folder.path().join("cut.mmdb")).is_err() || bytes.len() > 1);
        let Some(other) = data("GeoLite2-ASN-Test.mmdb") else { return };
        let Err(refused) = Geo::open(&other) else { panic!("a file of networks") };
        assert!(refused.contains("ASN"), "{refused}");
    }
}
