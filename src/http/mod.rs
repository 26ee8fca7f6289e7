//! HTTP of every route: who asks, what was sent, what is answered, and the layer that all requests pass.
//!
//! A request comes from `server` (connections), passes `layer` (request id, bounds, log, metrics), is taken apart by
//! the extractors (`body`, `query`, `caller`, `client_addr`), and leaves through `answer`. `routes` puts it together;
//! `door` answers what is known at once before the router is asked, plain requests on the `doorstep` of a connection;
//! `forward` sends on what another node decides about; `doors` says from where the demo may be asked.

mod addresses;
mod answer;
mod body;
mod bounds;
mod caller;
mod client_addr;
pub mod docs;
mod door;
mod doors;
mod doorstep;
mod drain;
mod forward;
mod heads;
mod layer;
pub mod meter;
mod openapi;
mod query;
pub mod routes;
mod scrapes;
mod server;
mod starting;
mod state;
pub mod takeover;
mod tokens;
mod welcome;
mod wire;

pub use answer::{Created, Located, NoContent, Problems};
pub use body::{Check, Checks, ClientKey, Form, Keyed, OrDefault, Unparsed, Valid, named_key};
pub use caller::{Admin, Authenticate, Caller, MaybeCaller, Role, bearer};
pub use client_addr::{ClientAddr, client_of};
pub use door::{Door, DoorAnswer, Knock, Opened, Prepared};
pub use doors::Doors;
pub use forward::{Forwarding, no_way};
pub use layer::{RequestId, shed};
pub use query::{Paging, Params, Path};
pub use server::{Sockets, run};
pub use starting::answer_while;
pub use state::{HttpState, Phase, Readiness};
pub use tokens::{ADMIN_FILE, FileToken, OperatorTokens};

#[cfg(test)]
mod tests;
