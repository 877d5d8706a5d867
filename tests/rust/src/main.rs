//! The Rust client of Socket.IO as a peer of the conformance program.
//!
//! `rust-peer URL TRANSPORT NSP`, with `any`, `websocket` or `polling`. Ends with 0 when everything
//! was as the protocol has it; else it says what was not.

use std::{
    env,
    error::Error,
    process::ExitCode,
    sync::mpsc::{Receiver, channel},
    time::{Duration, Instant},
};

use rust_socketio::{ClientBuilder, Event, Payload, TransportType, client::Client};
use serde_json::json;

/// How long anything may take.
const DEADLINE: Duration = Duration::from_secs(10);

/// An event's name, and what came with it.
type Heard = (String, Payload);

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    match speak(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("rust-peer: {error}");
            ExitCode::FAILURE
        }
    }
}

fn speak(args: &[String]) -> Result<(), Box<dyn Error>> {
    let [url, transport, nsp] = args else { return Err("rust-peer URL TRANSPORT NSP".into()) };
    let transport = match transport.as_str() {
        "any" => TransportType::Any,
        "websocket" => TransportType::Websocket,
        "polling" => TransportType::Polling,
        other => return Err(format!("no transport: {other}").into()),
    };
    let (tell, heard) = channel::<Heard>();
    let client = ClientBuilder::new(url.as_str())
        .namespace(nsp.as_str())
        .transport_type(transport)
        .reconnect(false)
        .auth(json!({ "token": "123" }))
        .on_any(move |event, payload, _| {
            let name = match event {
                Event::Custom(name) => name,
                other => other.as_str().to_owned(),
            };
            // Nobody listens any more at the end.
            let _heard = tell.send((name, payload));
        })
        .connect()?;
    same(next(&heard, "auth")?, Payload::Text(vec![json!({ "token": "123" })]))?;
    let text = Payload::Text(vec![json!(1), json!("2"), json!({ "3": [true, null] })]);
    client.emit("message", text.clone())?;
    same(next(&heard, "message-back")?, text)?;
    let binary = Payload::from(vec![0_u8, 1, 254, 255]);
    client.emit("message", binary.clone())?;
    same(next(&heard, "message-back")?, binary)?;
    acknowledged(&client)?;
    client.emit("bcast", "news")?;
    same(next(&heard, "msg")?, Payload::Text(vec![json!("news")]))?;
    // Some pings are answered meanwhile.
    let end = Instant::now() + Duration::from_secs(1);
    while Instant::now() < end {
        client.emit("message", "alive")?;
        same(next(&heard, "message-back")?, Payload::Text(vec![json!("alive")]))?;
    }
    client.disconnect()?;
    Ok(())
}

fn acknowledged(client: &Client) -> Result<(), Box<dyn Error>> {
    let (tell, answers) = channel();
    let answered = move |payload: Payload, _| {
        // Nobody listens any more at the end.
        let _heard = tell.send(payload);
    };
    client.emit_with_ack("message-with-ack", json!({ "ask": [1] }), DEADLINE, answered)?;
    let answer = answers.recv_timeout(DEADLINE)?;
    // This client hands the arguments over as one array.
    same(answer, Payload::Text(vec![json!([{ "ask": [1] }])]))
}

/// What came with the next event of this name; others before it are let go.
fn next(heard: &Receiver<Heard>, event: &str) -> Result<Payload, Box<dyn Error>> {
    let end = Instant::now() + DEADLINE;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let (name, payload) = heard.recv_timeout(left).map_err(|_| format!("no {event} came"))?;
        if name == event {
            return Ok(payload);
        }
    }
}

fn same(found: Payload, wanted: Payload) -> Result<(), Box<dyn Error>> {
    if found == wanted {
        Ok(())
    } else {
        Err(format!("{found:?} is not {wanted:?}").into())
    }
}
