//! socketioxide as a peer of the benchmark: what the conformance program does on connect, for `bcast`
//! and for `echo`. `socketioxide-peer PORT WORKERS [REDIS]`; prints a line when it listens.

use std::{env, error::Error, time::Duration};

use axum::Router;
use serde_json::{Value, json};
use socketioxide::{
    SocketIo, SocketIoBuilder,
    adapter::Adapter,
    extract::{AckSender, Data, SocketRef, TryData},
    layer::SocketIoLayer,
};
use socketioxide_redis::{RedisAdapter, RedisAdapterCtr};

/// No ping comes into a measurement but the first, which comes at once; and nobody answers that.
const NEVER: Duration = Duration::from_secs(3600);

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [port, workers, bus @ ..] = &arguments[..] else {
        return Err("PORT WORKERS [REDIS]".into());
    };
    let (port, workers) = (port.parse()?, workers.parse()?);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build()?;
    runtime.block_on(serve(port, bus.first()))
}

fn builder() -> SocketIoBuilder {
    SocketIo::builder().ping_interval(NEVER).ping_timeout(NEVER)
}

async fn serve(port: u16, bus: Option<&String>) -> Result<(), Box<dyn Error>> {
    match bus {
        None => {
            let (layer, io) = builder().build_layer();
            io.ns("/", connected);
            listen(port, layer).await
        }
        Some(url) => {
            let client = redis::Client::open(format!("{url}?protocol=resp3"))?;
            let adapter = RedisAdapterCtr::new_with_redis(&client).await?;
            let (layer, io) = builder().with_adapter::<RedisAdapter<_>>(adapter).build_layer();
            io.ns("/", connected).await?;
            listen(port, layer).await
        }
    }
}

async fn listen<A: Adapter>(port: u16, layer: SocketIoLayer<A>) -> Result<(), Box<dyn Error>> {
    let app = Router::new().layer(layer);
    let socket = tokio::net::TcpSocket::new_v4()?;
    socket.bind(([127, 0, 0, 1], port).into())?;
    // More than tokio's 1,024, for when all clients come at once.
    let listener = socket.listen(4_096)?;
    println!("listening");
    axum::serve(
        axum::serve::ListenerExt::tap_io(listener, |socket| {
            // As the others have it.
            let _delayed = socket.set_nodelay(true);
        }),
        app,
    )
    .await?;
    Ok(())
}

async fn connected<A: Adapter>(socket: SocketRef<A>, TryData(auth): TryData<Value>) {
    socket.on("bcast", bcast);
    socket.on("echo", echo);
    socket.emit("auth", &auth.unwrap_or_else(|_| json!({}))).ok();
}

async fn bcast<A: Adapter>(io: SocketIo<A>, Data(body): Data<String>) {
    io.emit("msg", &body).await.ok();
}

async fn echo<A: Adapter>(Data(body): Data<String>, ack: AckSender<A>) {
    ack.send(&body).ok();
}
