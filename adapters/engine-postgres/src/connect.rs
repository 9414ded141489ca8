//! Opening a connection, and asking the server on another one to stop what runs on it.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_postgres::config::{Host, SslMode as Tls};
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{CancelToken, Client, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;
use walkback_core::{Access, Error, ErrorKind, Result};

use crate::config::{Config, SslMode};
use crate::link::TOO_LONG;
use crate::{error, passfile, tls};

/// One server, of those a name stands for.
#[derive(Debug, Clone)]
enum Address {
    Net(String, SocketAddr),
    Socket(PathBuf),
}

/// Asks the server to stop what runs on one connection.
#[derive(Clone)]
pub(crate) struct Stopper {
    token: CancelToken,
    address: Address,
    tls: MakeRustlsConnect,
}

impl std::fmt::Debug for Stopper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stopper")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl Stopper {
    /// Returns the port of the server, unless it is a socket of the system.
    pub(crate) fn port(&self) -> Option<u16> {
        match &self.address {
            Address::Net(_, address) => Some(address.port()),
            Address::Socket(_) => None,
        }
    }

    /// Asks, and waits until the server has passed the request on: one that comes late would stop the next
    /// statement.
    pub(crate) async fn ask(&self) {
        match tokio::time::timeout(TOO_LONG, self.try_ask()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "cannot ask the server to stop a statement"),
            Err(_) => tracing::debug!("the server does not take a request to stop a statement"),
        }
    }

    async fn try_ask(&self) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        match &self.address {
            Address::Net(host, address) => {
                let stream = UntilClosed(TcpStream::connect(address).await?);
                let mut make = self.tls.clone();
                let tls = MakeTlsConnect::<UntilClosed<TcpStream>>::make_tls_connect(&mut make, host)?;
                self.token.cancel_query_raw(stream, tls).await?;
            }
            Address::Socket(path) => {
                let stream = UntilClosed(UnixStream::connect(path).await?);
                self.token.cancel_query_raw(stream, NoTls).await?;
            }
        }
        Ok(())
    }
}

/// A stream that is shut down only when the other side has closed it too: the server does so after it has passed a
/// request on, and the driver does not wait for that.
#[derive(Debug)]
struct UntilClosed<S>(S);

impl<S: AsyncRead + Unpin> AsyncRead for UntilClosed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for UntilClosed<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.0).poll_flush(cx))?;
        let mut bytes = [0; 64];
        loop {
            let mut buffer = ReadBuf::new(&mut bytes);
            match ready!(Pin::new(&mut self.0).poll_read(cx, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => {}
                // Closed, or cut off: both mean that nobody listens any more.
                Ok(()) | Err(_) => return Poll::Ready(Ok(())),
            }
        }
    }
}

/// Opens a connection to the first server that takes it.
pub(crate) async fn open(config: &Config, access: Access) -> Result<(Client, Stopper)> {
    let tls = tls::connector(config)?;
    let connection = settings(config, access)?;
    let mut first = None;
    for (host, port) in config.places() {
        let addresses = match addresses(host, port).await {
            Ok(addresses) => addresses,
            Err(failure) => {
                first.get_or_insert_with(|| unknown_host(config, host, failure));
                continue;
            }
        };
        for address in addresses {
            match open_at(config, &connection, &address, &tls).await {
                Ok(client) => {
                    let stopper = Stopper {
                        token: client.cancel_token(),
                        address,
                        tls,
                    };
                    return Ok((client, stopper));
                }
                // A server that has answered and says no is the right one; otherwise another may be.
                Err(failure) if failure.as_db_error().is_some() => return Err(unreachable(config, &failure)),
                Err(failure) => {
                    first.get_or_insert_with(|| unreachable(config, &failure));
                }
            }
        }
    }
    Err(first.unwrap_or_else(|| Error::config("the URL names no host")))
}

/// Returns the settings of a connection to any of the servers.
fn settings(config: &Config, access: Access) -> Result<tokio_postgres::Config> {
    let mut connection = config.connection()?;
    if access == Access::Read {
        let options = connection.get_options().unwrap_or_default().to_owned();
        connection.options(format!("{options} -cdefault_transaction_read_only=on").trim());
    }
    let password = match config.password() {
        Some(password) => Some(password.to_owned()),
        None => passfile::password(config)?,
    };
    if let Some(password) = password {
        connection.password(password);
    }
    connection.ssl_mode(match config.ssl_mode {
        SslMode::Disable | SslMode::Allow => Tls::Disable,
        SslMode::Prefer => Tls::Prefer,
        SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => Tls::Require,
    });
    Ok(connection)
}

async fn addresses(host: &str, port: u16) -> io::Result<Vec<Address>> {
    if host.starts_with('/') {
        let path = PathBuf::from(host).join(format!(".s.PGSQL.{port}"));
        return Ok(vec![Address::Socket(path)]);
    }
    let found = tokio::net::lookup_host((host, port)).await?;
    Ok(found
        .map(|address| Address::Net(host.to_owned(), address))
        .collect())
}

async fn open_at(
    config: &Config,
    connection: &tokio_postgres::Config,
    address: &Address,
    tls: &MakeRustlsConnect,
) -> Result<Client, tokio_postgres::Error> {
    let mut connection = connection.clone();
    match address {
        Address::Net(host, address) => {
            connection.host(host).hostaddr(address.ip()).port(address.port());
        }
        Address::Socket(path) => {
            let port = path.extension().and_then(|port| port.to_str()?.parse().ok());
            connection
                .host_path(path.parent().unwrap_or(path))
                .port(port.unwrap_or(5432));
            // A socket of the system has no TLS.
            connection.ssl_mode(Tls::Disable);
            let (client, worker) = connection.connect(NoTls).await?;
            drop(tokio::spawn(watch(worker)));
            return Ok(client);
        }
    }
    debug_assert!(
        connection
            .get_hosts()
            .iter()
            .all(|host| matches!(host, Host::Tcp(_)))
    );
    match open_over_net(&connection, tls).await {
        // The server does not want a connection without TLS.
        Err(failure) if config.ssl_mode == SslMode::Allow && failure.as_db_error().is_some() => {
            connection.ssl_mode(Tls::Require);
            open_over_net(&connection, tls).await
        }
        outcome => outcome,
    }
}

async fn open_over_net(
    connection: &tokio_postgres::Config,
    tls: &MakeRustlsConnect,
) -> Result<Client, tokio_postgres::Error> {
    let (client, worker) = connection.connect(tls.clone()).await?;
    drop(tokio::spawn(watch(worker)));
    Ok(client)
}

/// Drives a connection until it ends.
async fn watch(worker: impl Future<Output = Result<(), tokio_postgres::Error>>) {
    if let Err(error) = worker.await {
        tracing::debug!(%error, "a connection to PostgreSQL has ended");
    }
}

fn unknown_host(config: &Config, host: &str, failure: io::Error) -> Error {
    let location = config.location();
    Error::new(
        ErrorKind::Unavailable,
        format!("cannot connect to PostgreSQL at `{location}`: nobody knows the host `{host}`"),
    )
    .with_source(failure)
    .retryable()
    .hint("check the host of the URL")
}

fn unreachable(config: &Config, failure: &tokio_postgres::Error) -> Error {
    let location = config.location();
    let message = format!("cannot connect to PostgreSQL at `{location}`");
    let error = error::failed(message.clone(), "", failure);
    if failure.as_db_error().is_some() {
        return match error::code(failure) {
            "3D000" => error.hint(format!("create it: `createdb {}`", config.database())),
            _ => error,
        };
    }
    let cause = std::error::Error::source(&error)
        .map(ToString::to_string)
        .unwrap_or_default();
    let hint = if cause.contains("certificate") || cause.to_lowercase().contains("tls") {
        "`sslmode` and `sslrootcert` in the URL say whether and how the server is checked"
    } else if cause.contains("password") {
        "give the password: in the URL, in `PGPASSWORD` or in the password file"
    } else {
        "check the host and the port of the URL, and that the server runs and lets this host in"
    };
    Error::new(ErrorKind::Unavailable, message)
        .with_source(io::Error::other(cause))
        .retryable()
        .hint(hint)
}
