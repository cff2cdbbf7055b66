//! What the tests of the binary share.

#![allow(dead_code, reason = "each file of tests is a program of its own and uses its part")]

use std::path::Path;
use std::process::Output;
use tallystick_testkit::server::bare_command;
use tallystick_testkit::{Reply, ServerOptions, TestServer};

/// The binary under test.
pub const BINARY: &str = env!("CARGO_BIN_EXE_tallystick");

/// A server with the defaults.
pub fn server() -> TestServer {
    TestServer::start(BINARY)
}

/// Options to change before the start.
pub fn options() -> ServerOptions {
    ServerOptions::new(BINARY)
}

/// Runs the binary without a server.
pub fn run(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = bare_command(Path::new(BINARY));
    command.args(arguments).envs(variables.iter().copied());
    command.output().unwrap()
}

/// What a command printed.
pub fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// What a command said beside its result.
pub fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// An event with one number.
pub fn event(id: &str, subject: &str, time: &str, tokens: &str) -> String {
    format!(
        r#"{{"specversion":"1.0","id":"{id}","source":"test","type":"prompt","subject":"{subject}","time":"{time}","data":{{"tokens":{tokens},"model":"m-{subject}"}}}}"#
    )
}

/// Sends one event, which must be stored.
pub fn send(server: &TestServer, event: &str) -> Reply {
    let reply = server.post("/api/v1/events", "application/cloudevents+json", event);
    assert_eq!(reply.status, 204, "{}", reply.body);
    reply
}

/// Creates the meter `tokens`, by model.
pub fn create_meter(server: &TestServer) {
    let arguments = ["meters", "create", "tokens", "--aggregation", "sum", "--event-type", "prompt"];
    let dimensions = ["--value", "$.tokens", "--group-by", "model=$.model"];
    let output = server.command(&[&arguments[..], &dimensions[..]].concat());
    assert!(output.status.success(), "{}", stderr(&output));
}

/// Makes a key on the data folder of a server or of none and gives its secret.
pub fn create_key(data_dir: &Path, scope: &str) -> String {
    let data_dir = data_dir.to_str().unwrap();
    let output = run(&["keys", "create", "--name", scope, "--scope", scope, "--data-dir", data_dir], &[]);
    assert!(output.status.success(), "{}", stderr(&output));
    stdout(&output).trim().to_string()
}
