//! What benchmarks need beside the public interface: timelines made without storage, fan-out in the calling thread, and
//! the raw lists, so that a bare loop can scatter the same entries.
