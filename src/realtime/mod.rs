//! Delivery to who is connected.

pub mod websocket;
