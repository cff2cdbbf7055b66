//! The API's own description and a page that shows it, without anything from another host.

use utoipa::openapi::{InfoBuilder, OpenApi, OpenApiBuilder};
use utoipa_swagger_ui::{Config, SwaggerUi};

/// Where the description is.
pub const DOCUMENT_PATH: &str = "/openapi.json";
/// Where the page is.
pub const PAGE_PATH: &str = "/docs";

/// The document into which each router puts its routes.
pub fn document() -> OpenApi {
    let description = "Exact, self-hosted usage metering: events go in, exact totals come out.";
    let info = InfoBuilder::new().title("Tallystick").version(env!("CARGO_PKG_VERSION")).description(Some(description));
    OpenApiBuilder::new().info(info.build()).build()
}

/// The page and the document. The page asks no validator of another host.
pub fn page(document: OpenApi) -> SwaggerUi {
    SwaggerUi::new(PAGE_PATH)
        .url(DOCUMENT_PATH, document)
        .config(Config::new([DOCUMENT_PATH]).validator_url("none").try_it_out_enabled(true))
}
