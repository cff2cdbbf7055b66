//! How the parts of a server are put together.

use crate::config::{Config, meter_faults};
use crate::control::{self, ControlSocket};
use crate::dialects::{DIALECTS, Dialect};
use crate::listener::Entrance;
use crate::metrics::Metrics;
use crate::shutdown::{Leaving, Signals};
use crate::telemetry::Telemetry;
use crate::{greeting, health, listener, openapi, operations};
use axum::Router;
use std::net::SocketAddr;
use std::sync::Arc;
use tallystick_engine::{Engine, OpenError};
use tallystick_http_kit::access_log::Observer;
use tallystick_http_kit::request_id::RequestIds;
use tallystick_http_kit::{Front, HttpLimits, panic};
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
    let mut others = Vec::new();
    for entrance in &config.listener {
        let dialect = DIALECTS.iter().find(|dialect| dialect.word() == entrance.dialect);
        let dialect = dialect.ok_or_else(|| refused(&format!("there is no dialect {:?}", entrance.dialect)))?;
        others.push((bind(entrance.listen).await?, dialect));
    }
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
    let frame = Frame::new(&engine, config, telemetry);
    let control = open_control(&engine, config, &leaving);
    let doors: Vec<_> = others.iter().map(|((_, address), dialect)| (dialect.name, *address)).collect();
    greeting::print(config, address, &doors, &engine, has_keys).map_err(|error| refused(&error))?;
    let mut entrances = vec![Entrance { listener, app: frame.router(&engine, &leaving) }];
    for ((listener, _), dialect) in others {
        entrances.push(Entrance { listener, app: frame.router_of(&engine, dialect, &leaving) });
    }
    let workers = tallystick_workers::start(&engine);
    listener::serve(entrances, config, &leaving, signals).await;
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
    let reachable = config.addresses().find(|address| !address.ip().to_canonical().is_loopback());
    let dir = config.data_dir.display();
    let url = config.state_url().map(|_| " --state-url URL").unwrap_or_default();
    format!(
        "refusing to listen on {}, which others can reach, without an API key\n  \
         create one with:  tallystick keys create --name first --scope admin --data-dir {dir}{url}\n  \
         or listen on 127.0.0.1, or say --insecure if everybody who can connect may do everything",
        reachable.unwrap_or(config.listen)
    )
}

/// What all entrances share: limits with their buckets, what is counted, and how requests are named.
struct Frame {
    limits: HttpLimits,
    metrics: Arc<Metrics>,
    front: Front,
}

impl Frame {
    fn new(engine: &Engine, config: &Config, telemetry: &Telemetry) -> Self {
        let limits = config.http_limits();
        let metrics = Metrics::new(engine.clone(), limits.rate.clone());
        let observer = telemetry.observer(Arc::clone(&metrics) as Arc<dyn Observer>);
        let ids = RequestIds::with_traces(engine.now(), telemetry.adopt());
        Self { limits, metrics, front: Front::new(ids, observer) }
    }

    /// All routes of the server.
    fn router(&self, engine: &Engine, leaving: &Leaving) -> Router {
        let metrics = Arc::clone(&self.metrics);
        let mut app = Self::health(engine, leaving).merge(
            OpenApiRouter::new()
                .routes(routes!(operations::metrics))
                .with_state(operations::MetricsState { engine: engine.clone(), metrics }),
        );
        for dialect in DIALECTS {
            tracing::debug!(dialect = dialect.name, "mounted");
            let door = (dialect.router)(engine.clone(), self.limits.clone());
            app = if dialect.prefix.is_empty() { app.merge(door) } else { app.nest(dialect.prefix, door) };
        }
        let (routes, document) = app.split_for_parts();
        self.around(routes.merge(openapi::page(document)))
    }

    /// The routes of one dialect at the root, for an address of its own.
    fn router_of(&self, engine: &Engine, dialect: &Dialect, leaving: &Leaving) -> Router {
        let door = (dialect.router)(engine.clone(), self.limits.clone());
        let (routes, document) = Self::health(engine, leaving).merge(door).split_for_parts();
        self.around(routes.merge(openapi::page(document)))
    }

    fn health(engine: &Engine, leaving: &Leaving) -> OpenApiRouter {
        let ready = OpenApiRouter::new().routes(routes!(health::readyz));
        OpenApiRouter::with_openapi(openapi::document())
            .routes(routes!(health::healthz))
            .merge(ready.with_state((engine.clone(), leaving.clone())))
    }

    /// Routes of which each is named, measured and guarded against defects.
    fn around(&self, routes: Router) -> Router {
        routes
            .fallback(operations::no_such_route)
            // In one: the router boxes what each call of `layer` makes.
            .layer((self.front.clone(), panic::catch::<operations::Plain>()))
    }
}
