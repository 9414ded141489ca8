//! The services, and what each is called where.

/// A server that suites ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Service {
    /// PostgreSQL 15, or the oldest that this machine has.
    Postgres,
    /// The newest PostgreSQL that Debian has.
    PostgresNewest,
    /// MySQL, of Oracle's line.
    Mysql,
    /// MariaDB.
    Mariadb,
}

/// Which protocol a service speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Family {
    /// The protocol of PostgreSQL.
    Postgres,
    /// The protocol that MySQL and MariaDB share.
    Mysql,
}

impl Service {
    /// Every service, in the order in which they are shown.
    pub const ALL: [Self; 4] = [Self::Postgres, Self::PostgresNewest, Self::Mysql, Self::Mariadb];

    /// Returns its name on the command line and in `WALKBACK_REQUIRE`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::PostgresNewest => "postgres-newest",
            Self::Mysql => "mysql",
            Self::Mariadb => "mariadb",
        }
    }

    /// Returns the service of a name.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|service| service.name() == name)
    }

    /// Returns the environment variable that holds the URL of a server which is already there: of an account
    /// that may do everything.
    #[must_use]
    pub const fn variable(self) -> &'static str {
        match self {
            Self::Postgres => "WALKBACK_TEST_POSTGRES_URL",
            Self::PostgresNewest => "WALKBACK_TEST_POSTGRES_NEWEST_URL",
            Self::Mysql => "WALKBACK_TEST_MYSQL_URL",
            Self::Mariadb => "WALKBACK_TEST_MARIADB_URL",
        }
    }

    /// Returns the environment variable that holds the file with the certificate of that server's authority.
    #[must_use]
    pub const fn ca_variable(self) -> &'static str {
        match self {
            Self::Postgres => "WALKBACK_TEST_POSTGRES_CA",
            Self::PostgresNewest => "WALKBACK_TEST_POSTGRES_NEWEST_CA",
            Self::Mysql => "WALKBACK_TEST_MYSQL_CA",
            Self::Mariadb => "WALKBACK_TEST_MARIADB_CA",
        }
    }

    /// Returns the name of the image, and its tag.
    #[must_use]
    pub const fn image(self) -> (&'static str, &'static str) {
        match self {
            Self::Postgres => ("postgres", "15"),
            Self::PostgresNewest => ("postgres", "18"),
            Self::Mysql => ("mysql", "9.7"),
            Self::Mariadb => ("mariadb", "10.11"),
        }
    }

    /// Returns which protocol it speaks.
    #[must_use]
    pub const fn family(self) -> Family {
        match self {
            Self::Postgres | Self::PostgresNewest => Family::Postgres,
            Self::Mysql | Self::Mariadb => Family::Mysql,
        }
    }

    /// Returns the port it listens on inside a container.
    pub(crate) const fn port(self) -> u16 {
        match self.family() {
            Family::Postgres => 5432,
            Family::Mysql => 3306,
        }
    }

    /// Returns the URL of its all-powerful account.
    pub(crate) fn root_url(self, password: &str, port: u16) -> url::Url {
        let text = match self.family() {
            Family::Postgres => format!("postgres://postgres:{password}@127.0.0.1:{port}/postgres"),
            Family::Mysql => format!("mysql://root:{password}@127.0.0.1:{port}/"),
        };
        url::Url::parse(&text).expect("a password of hexadecimal digits needs no escapes")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_service_is_found_by_its_name() {
        for service in Service::ALL {
            assert_eq!(Service::of(service.name()), Some(service));
        }
        assert_eq!(Service::of("oracle"), None);
        assert_eq!(Service::of(""), None);
    }
}
