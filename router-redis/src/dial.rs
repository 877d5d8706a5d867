//! Makes one connection: to a fixed host, to one of several, or to the master that Sentinels name.

use std::{sync::Arc, time::Duration};

use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, ErrorKind, IntoConnectionInfo,
    ProtocolVersion, PushInfo, RedisConnectionInfo, RedisError, RedisResult, TlsCertificates,
    Value, aio::MultiplexedConnection, io::tcp::TcpSettings,
};

use crate::{
    RedisConfig,
    url::{Host, RedisUrl},
};

/// How many calls may wait in a connection's own queue; those behind wait in their callers.
const PIPELINE: usize = 256;

/// Who is dialled.
#[derive(Clone)]
pub(crate) enum Target {
    /// This host.
    Fixed(Host),
    /// One of the hosts that are known when the dial is made, another one each time.
    AnyOf(Arc<dyn Fn() -> Vec<Host> + Send + Sync>),
    /// The master of this name, by the word of the first Sentinel that knows it.
    Master { name: String, sentinels: Vec<Host> },
}

/// Where the pushes of a connection go; called on the connection's own task.
pub(crate) type OnPush = Box<dyn Fn(PushInfo) + Send + Sync>;

/// Knows what every connection of a backend has in common.
#[derive(Clone)]
pub(crate) struct Dialer {
    url: Arc<RedisUrl>,
    timeout: Duration,
    roots: Option<Arc<[u8]>>,
}

impl Dialer {
    pub(crate) fn new(config: &RedisConfig) -> Self {
        if config.url.tls {
            // An error means that the program has chosen its provider already.
            drop(rustls::crypto::ring::default_provider().install_default());
        }
        Self {
            url: Arc::new(config.url.clone()),
            timeout: config.call_timeout,
            roots: config.roots.as_deref().map(Arc::from),
        }
    }

    pub(crate) fn url(&self) -> &RedisUrl {
        &self.url
    }

    /// The longest that a connection may take from the first packet to its use, and that a call may
    /// take altogether.
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// A connection that speaks RESP3 and is logged in; `round` counts the dials of one owner.
    pub(crate) async fn dial(
        &self,
        target: &Target,
        round: u64,
        on_push: OnPush,
    ) -> RedisResult<MultiplexedConnection> {
        let host = match target {
            Target::Fixed(host) => host.clone(),
            Target::AnyOf(hosts) => {
                let hosts = hosts();
                let len = u64::try_from(hosts.len()).unwrap_or(u64::MAX).max(1);
                let at = usize::try_from(round % len).unwrap_or_default();
                hosts.into_iter().nth(at).ok_or_else(|| refused("no node is known"))?
            }
            Target::Master { name, sentinels } => self.ask_sentinels(name, sentinels).await?,
        };
        let mut redis = RedisConnectionInfo::default()
            .set_protocol(ProtocolVersion::RESP3)
            .set_db(i64::from(self.url.database));
        if let Some(credentials) = &self.url.credentials {
            redis = redis.set_password(&credentials.password);
            if let Some(user) = &credentials.user {
                redis = redis.set_username(user);
            }
        }
        let push = move |push| {
            on_push(push);
            Ok::<_, std::convert::Infallible>(())
        };
        let config = self.config().set_push_sender(push).set_pipeline_buffer_size(PIPELINE);
        let mut connection = self
            .client(&host, redis)?
            .get_multiplexed_async_connection_with_config(&config)
            .await?;
        if matches!(target, Target::Master { .. }) {
            check_master(&mut connection).await?;
        }
        Ok(connection)
    }

    async fn ask_sentinels(&self, name: &str, sentinels: &[Host]) -> RedisResult<Host> {
        let mut last = refused("no Sentinel is configured");
        for sentinel in sentinels {
            let ask = async {
                let mut connection = self
                    .client(sentinel, RedisConnectionInfo::default())?
                    .get_multiplexed_async_connection_with_config(&self.config())
                    .await?;
                let mut ask = redis::cmd("SENTINEL");
                ask.arg("get-master-addr-by-name").arg(name);
                ask.query_async::<Option<(String, u16)>>(&mut connection).await
            };
            // A share of the time for each, so that a dead Sentinel does not use it up.
            let share = self.timeout / u32::try_from(sentinels.len() + 1).unwrap_or(u32::MAX);
            match tokio::time::timeout(share, ask).await {
                Ok(Ok(Some((name, port)))) => return Ok(Host { name, port }),
                Ok(Ok(None)) => last = refused("no Sentinel knows a master of this name"),
                Ok(Err(error)) => last = error,
                Err(_) => last = refused("a Sentinel did not answer"),
            }
        }
        Err(last)
    }

    fn client(&self, host: &Host, redis: RedisConnectionInfo) -> RedisResult<Client> {
        let addr = if self.url.tls {
            ConnectionAddr::TcpTls {
                host: host.name.clone(),
                port: host.port,
                insecure: false,
                tls_params: None,
            }
        } else {
            ConnectionAddr::Tcp(host.name.clone(), host.port)
        };
        let info: ConnectionInfo = addr.into_connection_info()?;
        let tcp = TcpSettings::default().set_nodelay(true);
        let info = info.set_tcp_settings(tcp).set_redis_settings(redis);
        match &self.roots {
            Some(roots) if self.url.tls => {
                let root_cert = Some(roots.to_vec());
                Client::build_with_tls(info, TlsCertificates { client_tls: None, root_cert })
            }
            _ => Client::open(info),
        }
    }

    /// Callers have their own deadlines, over all that a call takes.
    fn config(&self) -> AsyncConnectionConfig {
        AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.timeout))
            .set_response_timeout(None)
    }
}

/// Sentinels may name a master that has just been demoted.
async fn check_master(connection: &mut MultiplexedConnection) -> RedisResult<()> {
    let role: Vec<Value> = redis::cmd("ROLE").query_async(connection).await?;
    match role.first() {
        Some(Value::BulkString(role)) if role == b"master" => Ok(()),
        _ => Err(refused("the server that the Sentinels name is no master")),
    }
}

fn refused(why: &'static str) -> RedisError {
    RedisError::from((ErrorKind::Client, why))
}
