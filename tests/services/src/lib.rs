//! Database servers for the tests.
//!
//! A suite asks for a service and gets a server, or the reason why there is none:
//! ```no_run
//! use walkback_services::{Found, Service, resolve};
//!
//! match resolve(Service::Postgres) {
//!     Found::Ready(server) => {
//!         let database = server.fresh_database();
//!         println!("{} from {}", database.url(), server.how());
//!     }
//!     Found::Absent(why) => println!("ignored: {why}"),
//! }
//! ```
//! A server is looked for in this order: a URL in the environment; a container, if a Docker daemon answers and
//! has the image or can pull it; a server binary of this machine, started in a temporary folder on a free port of
//! the loopback interface. A server that this process started serves all its tests and ends with the process,
//! however that ends. Everything here can be called from inside an async runtime and from outside of one.

mod client;
mod container;
mod crash;
mod database;
mod home;
mod local;
mod resolve;
pub mod s3;
mod server;
mod service;
mod stopper;
mod tls;

pub use crash::Crashed;
pub use database::Database;
pub use home::home;
pub use resolve::{Found, REQUIRE, is_required, resolve, start_somehow};
pub use server::{Lifetime, Server, Way, answers, start, start_within};
pub use service::{Family, Service};
pub use stopper::Stopper;
