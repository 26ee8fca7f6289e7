//! Uploads: what bytes are, what is stored of them, and how they are served.
