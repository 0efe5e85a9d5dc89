//! The configurations of nginx, HAProxy and Envoy: each as a plain reverse proxy that streams in both directions and keeps
//! its connections, without an access log.

use std::net::SocketAddr;
use std::path::Path;

/// Returns the configuration of nginx. With `ca_file`, the upstream speaks TLS. The buffer for bodies is large, since nginx
/// reads at most one buffer at a time.
pub(crate) fn nginx(address: SocketAddr, upstream: SocketAddr, ca_file: Option<&Path>) -> String {
    let scheme = if ca_file.is_some() { "https" } else { "http" };
    let tls = ca_file.map_or(String::new(), |file| {
        let file = file.display();
        format!("proxy_ssl_trusted_certificate {file}; proxy_ssl_verify on; proxy_ssl_name localhost;")
    });
    format!(
        "daemon off;
master_process off;
worker_processes 1;
pid nginx.pid;
error_log stderr crit;
events {{ worker_connections 19000; }}
http {{
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    client_max_body_size 40m;
    client_body_buffer_size 1m;
    keepalive_requests 1000000000;
    keepalive_timeout 600s;
    upstream bench {{
        server {upstream};
        keepalive 2048;
        keepalive_requests 1000000000;
        keepalive_timeout 600s;
    }}
    server {{
        listen {address} backlog=4096;
        location / {{
            proxy_pass {scheme}://bench;
            proxy_http_version 1.1;
            proxy_set_header Connection \"\";
            proxy_buffering off;
            proxy_request_buffering off;
            proxy_read_timeout 600s;
            {tls}
        }}
    }}
}}
"
    )
}

/// Returns the configuration of HAProxy. Without `http-no-delay` it holds an event back for up to 200 ms.
pub(crate) fn haproxy(address: SocketAddr, upstream: SocketAddr) -> String {
    format!(
        "global
    nbthread 1
defaults
    mode http
    option http-no-delay
    timeout connect 5s
    timeout client 600s
    timeout server 600s
    timeout http-keep-alive 600s
frontend clients
    bind {address} backlog 4096
    default_backend upstream
backend upstream
    http-reuse always
    server bench {upstream}
"
    )
}

/// Returns the configuration of Envoy, without statistics, request ids and limits of its circuit breakers.
pub(crate) fn envoy(address: SocketAddr, upstream: SocketAddr) -> String {
    let (port, upstream_port) = (address.port(), upstream.port());
    format!(
        "static_resources:
  listeners:
  - address: {{ socket_address: {{ address: 127.0.0.1, port_value: {port} }} }}
    tcp_backlog_size: 4096
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          \"@type\": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: bench
          generate_request_id: false
          stream_idle_timeout: 600s
          route_config:
            virtual_hosts:
            - name: bench
              domains: [\"*\"]
              routes:
              - match: {{ prefix: / }}
                route: {{ cluster: bench, timeout: 0s }}
          http_filters:
          - name: envoy.filters.http.router
            typed_config:
              \"@type\": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
              dynamic_stats: false
  clusters:
  - name: bench
    type: STATIC
    connect_timeout: 5s
    circuit_breakers:
      thresholds:
      - {{ max_connections: 100000, max_pending_requests: 100000, max_requests: 100000 }}
    load_assignment:
      cluster_name: bench
      endpoints:
      - lb_endpoints:
        - endpoint:
            address: {{ socket_address: {{ address: 127.0.0.1, port_value: {upstream_port} }} }}
stats_config:
  stats_matcher: {{ reject_all: true }}
"
    )
}
