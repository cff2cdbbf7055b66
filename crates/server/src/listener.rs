//! Connections: a bounded number of them, none idle for ever, and an orderly end.

use crate::config::Config;
use crate::shutdown::{Leaving, Signals};
use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Wait after a failed accept, for example when the process has no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// An address, and what is served there.
pub struct Entrance {
    /// Where connections come in.
    pub listener: TcpListener,
    /// What answers their requests.
    pub app: Router,
}

/// Serves until a signal comes, then ends as `config` says: drain, finish what is in flight, cut what is left. A second
/// signal cuts at once.
pub async fn serve(entrances: Vec<Entrance>, config: &Config, leaving: &Leaving, mut signals: Signals) {
    let mut connections = Connections::new(config);
    let signal = tokio::select! {
        signal = signals.next() => signal,
        () = connections.accept_from(&entrances) => return,
    };
    leaving.begin();
    tracing::info!(signal, "stopping: not ready any more");
    let drain = Duration::from_millis(config.shutdown_drain_ms);
    if !drain.is_zero() {
        tokio::select! {
            () = tokio::time::sleep(drain) => {}
            _ = signals.next() => {}
            () = connections.accept_from(&entrances) => {}
        }
    }
    drop(entrances);
    let grace = Duration::from_millis(config.shutdown_grace_ms);
    tokio::select! {
        () = connections.graceful.shutdown() => tracing::info!("all requests are finished"),
        () = tokio::time::sleep(grace) => tracing::warn!("requests took longer than shutdown_grace_ms and are cut"),
        _ = signals.next() => tracing::warn!("second signal: requests in flight are cut"),
    }
}

/// The next connection at any entrance, and what answers it.
fn accept_any<'e>(entrances: &'e [Entrance], context: &mut Context<'_>) -> Poll<io::Result<(TcpStream, &'e Router)>> {
    for Entrance { listener, app } in entrances {
        if let Poll::Ready(accepted) = listener.poll_accept(context) {
            return Poll::Ready(accepted.map(|(stream, _)| (stream, app)));
        }
    }
    Poll::Pending
}

struct Connections {
    http: http1::Builder,
    graceful: GracefulShutdown,
    slots: Arc<Semaphore>,
}

impl Connections {
    fn new(config: &Config) -> Self {
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(Duration::from_millis(config.limits.idle_timeout_ms));
        let slots = Arc::new(Semaphore::new(config.limits.connections));
        Self { http, graceful: GracefulShutdown::new(), slots }
    }

    /// Accepts for as long as it is polled.
    async fn accept_from(&mut self, entrances: &[Entrance]) {
        while let Ok(slot) = Arc::clone(&self.slots).acquire_owned().await {
            match poll_fn(|context| accept_any(entrances, context)).await {
                Ok((stream, app)) => self.start(stream, app, slot),
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn start(&self, stream: TcpStream, app: &Router, slot: OwnedSemaphorePermit) {
        // Answers are written in one piece; waiting for more to send only delays them.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection was lost at once");
            return;
        }
        let service = TowerToHyperService::new(app.clone());
        let connection = self.graceful.watch(self.http.serve_connection(TokioIo::new(stream), service));
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended early");
            }
            drop(slot);
        });
    }
}
