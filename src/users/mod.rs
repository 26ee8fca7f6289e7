//! People: handles, passwords, tokens of our own and of the operator's backend.

pub mod attempts;
pub mod fold;
pub mod guard;
pub mod http;
pub mod jwks;
pub mod jwt;
pub mod jwt_ends;
pub mod jwt_keys;
pub mod listener;
pub mod names;
pub mod password;
pub mod service;
pub mod session_ender;
