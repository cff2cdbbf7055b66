//! How the parts of a server are put together.

use crate::config::{Config, meter_faults};
use crate::control::{self, ControlSocket};
use crate::dialects::DIALECTS;
use crate::metrics::Metrics;
use crate::shutdown::{Leaving, Signals};
use crate::telemetry::Telemetry;
use crate::{greeting, health, listener, openapi, operations};
use axum::Router;
use axum::middleware::from_fn_with_state;
use std::net::SocketAddr;
use std::sync::Arc;
use tallystick_engine::{Engine, OpenError};
use tallystick_http_kit::access_log::{Observer, watch};
use tallystick_http_kit::request_id::RequestIds;
use tallystick_http_kit::{panic, request_id};
use tokio::net::TcpListener;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Why a server ended otherwise than by a signal.
pub enum ServeError {
    /// It did not start.
    Refused(String),
    /// It ran and could not end as it should.
    Failed(String),
}

/// Opens the stores, serves until a signal comes, and closes them.
pub async fn serve(config: &Config, telemetry: &Telemetry) -> Result<(), ServeError> {
    let refused = |error: &dyn std::fmt::Display| ServeError::Refused(error.to_string());
    let signals = Signals::listen().map_err(|error| refused(&error))?;
    let (listener, address) = bind(config.listen).await?;
    let engine_config = config.engine().map_err(|error| refused(&error))?;
    let engine = Engine::open(engine_config).await.map_err(|error| match &error {
        OpenError::DeclaredMeter { slug, faults } => refused(&meter_faults(slug, faults)),
        error => refused(error),
    })?;
    let has_keys = engine.has_live_keys().await.map_err(|error| refused(&error))?;
    if !config.is_loopback() && !config.insecure && !has_keys {
        close(&engine).await?;
        return Err(ServeError::Refused(no_key_message(config)));
    }
    let leaving = Leaving::default();
    let app = router(&engine, config, &leaving, telemetry);
    let control = open_control(&engine, config, &leaving);
    greeting::print(config, address, &engine, has_keys).map_err(|error| refused(&error))?;
    let workers = tallystick_workers::start(&engine);
    listener::serve(listener, app, config, &leaving, signals).await;
    workers.stop().await;
    // Before the directory is given back: afterwards the socket may be another server's.
    drop(control);
    close(&engine).await?;
    tracing::info!("stopped: everything acknowledged is stored");
    Ok(())
}

/// Operators' commands are not what a server is for: without a socket it serves all the same.
fn open_control(engine: &Engine, config: &Config, leaving: &Leaving) -> Option<ControlSocket> {
    ControlSocket::open(engine, &config.data_dir, leaving)
        .inspect_err(|error| {
            let path = control::socket_path(&config.data_dir);
            tracing::warn!(%error, path = %path.display(), "no control socket: verify, backup, stats and export need a stopped server");
        })
        .ok()
}

async fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), ServeError> {
    let failed = |error: std::io::Error| {
        ServeError::Refused(format!("cannot listen on {address}: {error}; choose another address with --listen"))
    };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

async fn close(engine: &Engine) -> Result<(), ServeError> {
    engine.close().await.map_err(|reason| ServeError::Failed(format!("the stores could not be closed: {reason}")))
}

fn no_key_message(config: &Config) -> String {
    let dir = config.data_dir.display();
    let url = config.state_url().map(|_| " --state-url URL").unwrap_or_default();
    format!(
        "refusing to listen on {}, which others can reach, without an API key\n  \
         create one with:  tallystick keys create --name first --scope admin --data-dir {dir}{url}\n  \
         or listen on 127.0.0.1, or say --insecure if everybody who can connect may do everything",
        config.listen
    )
}

/// All routes, each named, measured and guarded against defects.
fn router(engine: &Engine, config: &Config, leaving: &Leaving, telemetry: &Telemetry) -> Router {
    let limits = config.http_limits();
    let metrics = Metrics::new(engine.clone(), limits.rate.clone());
    let observer = telemetry.observer(Arc::clone(&metrics) as Arc<dyn Observer>);
    let ids = RequestIds::with_traces(engine.now(), telemetry.adopt());
    let mut app = OpenApiRouter::with_openapi(openapi::document())
        .routes(routes!(health::healthz))
        .merge(OpenApiRouter::new().routes(routes!(health::readyz)).with_state((engine.clone(), leaving.clone())))
        .merge(
            OpenApiRouter::new()
                .routes(routes!(operations::metrics))
                .with_state(operations::MetricsState { engine: engine.clone(), metrics }),
        );
    for dialect in DIALECTS {
        tracing::debug!(dialect = dialect.name, "mounted");
        let door = (dialect.router)(engine.clone(), limits.clone());
        app = if dialect.prefix.is_empty() { app.merge(door) } else { app.nest(dialect.prefix, door) };
    }
    let (routes, document) = app.split_for_parts();
    routes
        .merge(openapi::page(document))
        .fallback(operations::no_such_route)
        .layer(panic::catch::<operations::Plain>())
        .layer(from_fn_with_state(observer, watch))
        .layer(from_fn_with_state(ids, request_id::assign))
}
