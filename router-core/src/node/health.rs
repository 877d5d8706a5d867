//! What every process of Whisk answers on `/healthz` and `/readyz`, without HTTP.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::sync::watch;

use super::Readiness;

/// A process's word about itself. Cheap to clone; all clones tell the same.
#[derive(Debug, Clone)]
pub struct Health {
    readiness: watch::Receiver<Readiness>,
    /// Set once, when the process begins to stop; never taken back.
    stopping: Arc<AtomicBool>,
}

/// An answer to a health check: an HTTP status and a JSON body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthAnswer {
    /// 200 or 503.
    pub status: u16,
    /// A JSON object that says why.
    pub body: String,
}

impl Health {
    /// The health of a process with this node.
    pub fn new(readiness: watch::Receiver<Readiness>) -> Self {
        Self { readiness, stopping: Arc::default() }
    }

    /// Not ready from now on: the process has begun to stop.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    /// Whether the process has begun to stop.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// `/healthz`: the process runs. 200, or no answer at all.
    pub fn live() -> HealthAnswer {
        HealthAnswer { status: 200, body: r#"{"alive":true}"#.to_owned() }
    }

    /// `/readyz`: 200 while messages reach this node and it does not stop, else 503.
    pub fn ready(&self) -> HealthAnswer {
        let readiness = *self.readiness.borrow();
        let stopping = self.is_stopping();
        let ready = readiness.is_ready() && !stopping;
        let Readiness { lease, bus } = readiness;
        HealthAnswer {
            status: if ready { 200 } else { 503 },
            body: format!(
                r#"{{"ready":{ready},"lease":{lease},"bus":{bus},"stopping":{stopping}}}"#
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_ready_while_its_node_is_and_it_does_not_stop() {
        let (state, readiness) = watch::channel(Readiness { lease: true, bus: false });
        let health = Health::new(readiness);
        assert_eq!(health.ready().status, 503);
        state.send_replace(Readiness { lease: true, bus: true });
        assert_eq!(health.ready().status, 200);
        health.clone().stop();
        let answer = health.ready();
        assert_eq!(answer.status, 503);
        assert_eq!(answer.body, r#"{"ready":false,"lease":true,"bus":true,"stopping":true}"#);
    }
}
