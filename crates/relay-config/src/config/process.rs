//! The settings that apply at the start of a process.

use super::Config;

impl Config {
    /// Returns this configuration with the settings of `running` that apply at the start of a process: the addresses of its
    /// listeners and their use of TLS, the destination and the format of its log, and the ledger. The files of `server.tls` apply
    /// at once if both have some.
    ///
    /// A running process that reads a configuration again uses the result. [`differences`](Self::differences) between the result
    /// and this configuration are the settings that need a restart.
    ///
    /// ```
    /// use relay_config::{Config, ListenAddress, ServerConfig};
    ///
    /// let running = Config::default();
    /// let server = ServerConfig::default().with_listen([ListenAddress::new("::1", 9000)]).with_max_concurrent(8);
    /// let after = Config::default().with_server(server);
    ///
    /// let used = after.clone().with_process_settings_of(&running);
    /// assert_eq!(used.server.listen, running.server.listen);
    /// assert!(used.server.max_concurrent.is_some());
    /// assert_eq!(used.differences(&after)[0].path, "server.listen");
    /// ```
    #[must_use]
    pub fn with_process_settings_of(mut self, running: &Self) -> Self {
        self.server.listen.clone_from(&running.server.listen);
        self.server.unix_sockets.clone_from(&running.server.unix_sockets);
        if self.server.tls.is_some() != running.server.tls.is_some() {
            self.server.tls.clone_from(&running.server.tls);
        }
        self.logging.format = running.logging.format;
        self.logging.output.clone_from(&running.logging.output);
        self.logging.pretty = running.logging.pretty;
        self.metrics.clone_from(&running.metrics);
        self.usage.clone_from(&running.usage);
        self.admin.enabled = running.admin.enabled;
        self.admin.listen.clone_from(&running.admin.listen);
        self.admin.is_explicit = running.admin.is_explicit;
        self
    }
}
