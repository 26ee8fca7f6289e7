//! Real concurrency.
