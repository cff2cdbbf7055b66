//! Connections: a bounded number of them, none idle for ever, and an orderly end.

use crate::config::Config;
use crate::shutdown::{Leaving, Signals};
use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Wait after a failed accept, for example when the process has no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves until a signal comes, then ends as `config` says: drain, finish what is in flight, cut what is left. A second
/// signal cuts at once.
pub async fn serve(listener: TcpListener, app: Router, config: &Config, leaving: &Leaving, mut signals: Signals) {
    let mut connections = Connections::new(app, config);
    let signal = tokio::select! {
        signal = signals.next() => signal,
        () = connections.accept_from(&listener) => return,
    };
    leaving.begin();
    tracing::info!(signal, "stopping: not ready any more");
    let drain = Duration::from_millis(config.shutdown_drain_ms);
    if !drain.is_zero() {
        tokio::select! {
            () = tokio::time::sleep(drain) => {}
            _ = signals.next() => {}
            () = connections.accept_from(&listener) => {}
        }
    }
    drop(listener);
    let grace = Duration::from_millis(config.shutdown_grace_ms);
    tokio::select! {
        () = connections.graceful.shutdown() => tracing::info!("all requests are finished"),
        () = tokio::time::sleep(grace) => tracing::warn!("requests took longer than shutdown_grace_ms and are cut"),
        _ = signals.next() => tracing::warn!("second signal: requests in flight are cut"),
    }
}

struct Connections {
    app: Router,
    http: http1::Builder,
    graceful: GracefulShutdown,
    slots: Arc<Semaphore>,
}

impl Connections {
    fn new(app: Router, config: &Config) -> Self {
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(Duration::from_millis(config.limits.idle_timeout_ms));
        let slots = Arc::new(Semaphore::new(config.limits.connections));
        Self { app, http, graceful: GracefulShutdown::new(), slots }
    }

    /// Accepts for as long as it is polled.
    async fn accept_from(&mut self, listener: &TcpListener) {
        while let Ok(slot) = Arc::clone(&self.slots).acquire_owned().await {
            match listener.accept().await {
                Ok((stream, _)) => self.start(stream, slot),
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn start(&self, stream: TcpStream, slot: OwnedSemaphorePermit) {
        // Answers are written in one piece; waiting for more to send only delays them.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection was lost at once");
            return;
        }
        let service = TowerToHyperService::new(self.app.clone());
        let connection = self.graceful.watch(self.http.serve_connection(TokioIo::new(stream), service));
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended early");
            }
            drop(slot);
        });
    }
}
