//! The few words that are spoken with a server here, by the plain drivers.

use std::future::Future;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use mysql_async::prelude::Queryable as _;
use url::Url;

use crate::service::{Family, Service};

/// How long a server may take to answer one statement.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs statements and returns the text of the first value of the first row, if there is one.
pub(crate) fn ask(service: Service, url: &Url, sql: &str) -> Result<Option<String>> {
    let rows = rows(service, url, sql)?;
    Ok(rows.into_iter().next().flatten())
}

/// Runs statements and returns the text of the first value of each row of the first result.
pub(crate) fn rows(service: Service, url: &Url, sql: &str) -> Result<Vec<Option<String>>> {
    in_runtime(async {
        let answer = async {
            match service.family() {
                Family::Postgres => ask_postgres(url, sql).await,
                Family::Mysql => ask_mysql(url, sql).await,
            }
        };
        match tokio::time::timeout(PATIENCE, answer).await {
            Ok(rows) => rows,
            Err(_) => bail!("the server did not answer within {} s", PATIENCE.as_secs()),
        }
    })
}

/// Sees that a server answers, and returns its version.
pub(crate) fn version(service: Service, url: &Url) -> Result<String> {
    let sql = match service.family() {
        Family::Postgres => "SHOW server_version",
        Family::Mysql => "SELECT VERSION()",
    };
    let version = ask(service, url, sql)?.context("the server does not tell its version")?;
    let is_mariadb = version.contains("MariaDB");
    match service {
        Service::Mysql if is_mariadb => bail!("it is MariaDB ({version}), not MySQL"),
        Service::Mariadb if !is_mariadb => bail!("it is MySQL ({version}), not MariaDB"),
        _ => Ok(version),
    }
}

/// Drives a future on a thread of its own, so that a caller may be inside a runtime or not.
pub(crate) fn in_runtime<T: Send>(future: impl Future<Output = Result<T>> + Send) -> Result<T> {
    thread::scope(|scope| {
        let worker = scope.spawn(|| {
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .context("the system gives no runtime")?
                .block_on(future)
        });
        worker
            .join()
            .unwrap_or_else(|_| Err(anyhow!("a thread panicked")))
    })
}

async fn ask_postgres(url: &Url, sql: &str) -> Result<Vec<Option<String>>> {
    let config: tokio_postgres::Config = plain(url).as_str().parse().context("not a URL of PostgreSQL")?;
    let (client, connection) = config
        .connect(tokio_postgres::NoTls)
        .await
        .context("cannot connect")?;
    let driver = tokio::spawn(connection);
    let messages = client.simple_query(sql).await;
    drop(client);
    // The connection ends when its client is gone; how it ended adds nothing to the answer.
    driver.await.ok();
    let mut rows = Vec::new();
    for message in messages.with_context(|| format!("`{sql}` failed"))? {
        match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => rows.push(row.get(0).map(str::to_owned)),
            tokio_postgres::SimpleQueryMessage::CommandComplete(_) if !rows.is_empty() => break,
            _ => {}
        }
    }
    Ok(rows)
}

async fn ask_mysql(url: &Url, sql: &str) -> Result<Vec<Option<String>>> {
    let options = mysql_async::Opts::from_url(plain(url).as_str()).context("not a URL of MySQL")?;
    // The path of the socket that the server tells is its own, maybe inside a container.
    let options = mysql_async::OptsBuilder::from_opts(options).prefer_socket(false);
    let mut connection = mysql_async::Conn::new(options).await.context("cannot connect")?;
    let rows = async {
        let mut results = connection.query_iter(sql).await?;
        let rows: Vec<mysql_async::Row> = results.collect().await?;
        // What a later statement of the text says comes out here only.
        results.drop_result().await?;
        Ok::<_, mysql_async::Error>(rows)
    };
    let rows = rows.await.with_context(|| format!("`{sql}` failed"))?;
    connection.disconnect().await.ok();
    Ok(rows
        .into_iter()
        .map(|mut row| row.take::<Option<String>, _>(0).flatten())
        .collect())
}

/// Returns the URL without its options: they concern the adapters under test, not us.
fn plain(url: &Url) -> Url {
    let mut url = url.clone();
    url.set_query(None);
    url
}
