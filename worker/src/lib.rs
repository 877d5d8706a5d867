//! Workers: nodes without pages and sockets, that do what should not hold those up.
//!
//! A worker has an address, `worker/nid`, and observers like every node: it takes broadcasts and
//! transmits, and answers asks. Beyond that it serves `/healthz` and `/readyz`.
//!
//! ```no_run
//! use router_core::{
//!     Observers, Payload,
//!     backend::memory::MemoryHub,
//!     node::{Node, NodeSpec},
//!     ns,
//!     session::{SessionSettings, Sessions, Site},
//! };
//! use worker::WorkerService;
//!
//! fn observers(cfg: &mut Observers) {
//!     cfg.observer("sum").on_ask("add", add);
//! }
//!
//! /// `sum.add`, asked by `bus.ask(&"worker/0".parse()?, "sum.add", &[1, 2], deadline)`.
//! async fn add(Payload(numbers): Payload<Vec<i64>>) -> i64 {
//!     numbers.iter().sum()
//! }
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let backend = MemoryHub::new().backend();
//! let sessions = Sessions::new(backend.records.clone(), Site::main(), SessionSettings::default());
//! let node = Node::start(NodeSpec::new(ns("worker").node(0)), backend).await?;
//! let worker = WorkerService::builder(node, sessions).observers(observers).build()?;
//! let listener = std::net::TcpListener::bind("127.0.0.1:8900")?;
//! worker.run(listener, std::future::pending()).await?;
//! # Ok(())
//! # }
//! ```
//!
//! Every worker also watches over the rosters of channels: the members of a node that died come into
//! its hands, are told to be disconnected, and are removed when they do not come back
//! ([`presence`](router_core::presence)).
//!
//! # How a worker stops
//!
//! `/readyz` turns red and the node's address is freed, so that whoever sends to it hears
//! `node_gone` and can choose another worker. What had arrived by then is finished within the
//! [window](Builder::window), and its answers still leave; what takes longer is cut off, and its
//! asker's deadline ends the wait.
//!
//! # Where jobs will live
//!
//! Asks need a worker by its number. Jobs, which any one worker of a namespace takes, come in rooms
//! of their own beside [`WorkerService`]: a *lane* for each kind of job, with its own order, queue
//! and number in flight; a *lease* with a fencing token for each taken job, so that a worker that
//! froze cannot finish what another has begun anew; retries, and a dead-letter list after the last
//! one. The store of jobs is a trait of `router_core::backend` beside those of sessions and tokens,
//! and a lane runs its handler as [`Observers`](router_core::Observers) run theirs.

mod builder;
mod health;
mod service;

pub use builder::{BuildError, Builder};
pub use service::{RunError, WorkerService};
