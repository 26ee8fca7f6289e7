//! Hand-written.
