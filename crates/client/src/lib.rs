//! Placeholder while the skeleton is laid.

#![warn(missing_docs)]
