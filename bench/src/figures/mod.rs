//! The figures, one after another. Within each, the programs are measured in turns, so that all meet
//! the same noise.

mod channels;
mod deliveries;
mod echo;
mod memory;
mod reconnect;
mod two_nodes;

use std::time::Instant;

use anyhow::Result;
use clap::{Args, ValueEnum};

use crate::servers::Kind;

/// What is measured.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Some of the figures; all by default.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Part>,
    /// Whisk and the limit alone.
    #[arg(long)]
    no_peers: bool,
    /// Measurements of each kind; the median counts.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Deliveries of one measurement, in thousands.
    #[arg(long, default_value_t = 1_000)]
    deliveries: usize,
    /// Round trips of one measurement, in thousands.
    #[arg(long, default_value_t = 100)]
    round_trips: usize,
    /// Sockets that are idle, or come back at once.
    #[arg(long, default_value_t = 5_000)]
    many: usize,
}

/// One figure, or some that belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// CPU of `bcast` to 1,000 and to 5,000 sockets, one and eight in flight.
    Deliveries,
    /// CPU of `echo`.
    Echo,
    /// Memory of idle connections.
    Memory,
    /// CPU of `bcast` over two nodes and Redis.
    TwoNodes,
    /// Time in which all clients come back.
    Reconnect,
    /// Subscriptions, publications, rosters and revocations, on Redis.
    Channels,
}

impl Options {
    fn has(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }

    /// The servers that are measured.
    fn servers(&self) -> &[Kind] {
        if self.no_peers { &Kind::SERVERS[..1] } else { &Kind::SERVERS }
    }
}

/// Measures, and prints the report.
pub(crate) fn run(options: &Options) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let began = Instant::now();
        if options.has(Part::Memory) {
            memory::measure(options).await?;
        }
        if options.has(Part::Deliveries) {
            deliveries::measure(options).await?;
        }
        if options.has(Part::Echo) {
            echo::measure(options).await?;
        }
        if options.has(Part::TwoNodes) {
            two_nodes::measure(options).await?;
        }
        if options.has(Part::Reconnect) {
            reconnect::measure(options).await?;
        }
        if options.has(Part::Channels) {
            channels::measure(options).await?;
        }
        println!("\nTook {:.0} s.", began.elapsed().as_secs_f64());
        Ok(())
    })
}
