//! Reports: what people tell operators of others. Each keeps a copy of what it is about, and is bounded a person.

pub mod http;
pub mod service;

pub use service::Reports;
