#!/usr/bin/env python3
"""Measures the time after which the relay notices that the network to its only provider has vanished.

    tests/network-loss.py target/release/cc-relay

An upstream runs in a network namespace of its own. Once it has received the requests, the link is taken down on its side, so
that every further packet is lost without a sign. Cases: HTTP/1.1 and HTTP/2, before the response head and within a stream.
Takes about a minute. Needs root, Linux with network namespaces and veth, openssl, and nginx (which speaks HTTP/2 for the
upstream). Without one of them it is skipped, with exit code 77.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

# The limits of the relay: TCP_USER_TIMEOUT and keep-alive, or an HTTP/2 ping with its answer.
LIMIT = 55
NAMESPACE = f"ccrelay{os.getpid() % 10000}"
HERE, THERE = "10.77.91.1", "10.77.91.2"
UPSTREAM = r'''
import socket, sys, threading, time
def serve(connection):
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(65536)
    print("request", flush=True)
    if b"stream" in data:
        start = b'event: message_start\ndata: {"type":"message_start","message":{"id":"m","type":"message","role":"assistant","content":[],"model":"m","usage":{"input_tokens":1,"output_tokens":1}}}\n\n'
        block = b'event: content_block_start\ndata: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}\n\n'
        delta = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"x"}}\n\n'
        body = start + block + delta
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nx-accel-buffering: no\r\ntransfer-encoding: chunked\r\n\r\n%x\r\n%s\r\n" % (len(body), body))
    time.sleep(1000)
listener = socket.create_server((sys.argv[1], 8000))
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
'''
NGINX = """daemon off; master_process off; pid nginx.pid; error_log stderr; events {}
http { access_log off; client_body_temp_path a; proxy_temp_path b; fastcgi_temp_path c; uwsgi_temp_path d; scgi_temp_path e;
  server { listen %s:8443 ssl http2; ssl_certificate cert.pem; ssl_certificate_key key.pem; keepalive_timeout 600s;
    location / { proxy_pass http://%s:8000; proxy_http_version 1.1; proxy_buffering off; proxy_read_timeout 600s; } } }
"""


def skip(reason):
    print(f"SKIPPED: {reason}", file=sys.stderr)
    sys.exit(77)


def run(*command, **options):
    return subprocess.run(command, check=True, capture_output=True, text=True, **options)


def inside(*command):
    return ("ip", "netns", "exec", NAMESPACE, *command)


def set_up_network():
    if os.geteuid() != 0:
        skip("network namespaces need root")
    for program in ("ip", "openssl", "nginx"):
        if shutil.which(program) is None:
            skip(f"{program} is not installed")
    try:
        run("ip", "netns", "add", NAMESPACE)
        run("ip", "link", "add", f"{NAMESPACE}a", "type", "veth", "peer", "name", f"{NAMESPACE}b", "netns", NAMESPACE)
        run("ip", "addr", "add", f"{HERE}/24", "dev", f"{NAMESPACE}a")
        run("ip", "link", "set", f"{NAMESPACE}a", "up")
        run(*inside("ip", "addr", "add", f"{THERE}/24", "dev", f"{NAMESPACE}b"))
        run(*inside("ip", "link", "set", f"{NAMESPACE}b", "up"))
        run(*inside("ip", "link", "set", "lo", "up"))
    except subprocess.CalledProcessError as error:
        skip(f"this system allows no network namespace: {error.stderr.strip()}")


def exchange(address, stream, result):
    """Sends one request, and notes the time and the kind of its end."""
    body = json.dumps({"model": "claude-opus-5-5", "max_tokens": 8, "messages": [], **({"stream": True} if stream else {})})
    client = socket.create_connection(address)
    head = "POST /v1/messages HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\nconnection: close\r\n"
    client.sendall(f"{head}content-length: {len(body)}\r\n\r\n{body}".encode())
    received = b""
    try:
        while data := client.recv(65536):
            received += data
            result["bytes"] = len(received)
    except ConnectionError:
        pass
    result["end"] = time.monotonic()
    result["status"] = received.split(b" ", 2)[1:2]
    result["is_complete"] = received.endswith(b"0\r\n\r\n")


def start_relay(program, directory, name, url):
    unused = socket.create_server(("127.0.0.1", 0))
    address = unused.getsockname()
    unused.close()
    provider = {"name": name, "type": "anthropic", "base_url": url, "keys": [{"key": "sk-ant-api03-x"}]}
    if url.startswith("https"):
        provider["ca_file"] = f"{directory}/cert.pem"
    path = f"{directory}/{name}.yaml"
    with open(path, "w") as file:
        json.dump({"server": {"listen": f"127.0.0.1:{address[1]}"}, "providers": [provider]}, file)
    relay = subprocess.Popen([program, "serve", "--config", path], stdout=open(f"{directory}/{name}.log", "w"), stderr=subprocess.STDOUT)
    for _ in range(200):
        try:
            socket.create_connection(address).close()
            return relay, address
        except ConnectionError:
            time.sleep(0.05)
    sys.exit(f"the relay does not start: {open(f'{directory}/{name}.log').read()}")


def measure(program, directory, processes):
    run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=upstream",
        "-addext", f"subjectAltName=IP:{THERE}", "-addext", "basicConstraints=critical,CA:FALSE",
        "-keyout", f"{directory}/key.pem", "-out", f"{directory}/cert.pem")
    with open(f"{directory}/nginx.conf", "w") as file:
        file.write(NGINX % (THERE, THERE))
    upstream = subprocess.Popen(inside(sys.executable, "-c", UPSTREAM, THERE), stdout=subprocess.PIPE, text=True)
    nginx = subprocess.Popen(inside("nginx", "-p", directory, "-c", f"{directory}/nginx.conf", "-e", "stderr"), stderr=subprocess.DEVNULL)
    processes += [upstream, nginx]
    time.sleep(1)
    cases = {}
    for version, url in (("HTTP/1.1", f"http://{THERE}:8000"), ("HTTP/2", f"https://{THERE}:8443")):
        relay, address = start_relay(program, directory, version.replace("/", "").replace(".", ""), url)
        processes.append(relay)
        for stream in (False, True):
            result = cases[f"{version}, {'within a stream' if stream else 'before the head'}"] = {}
            thread = threading.Thread(target=exchange, args=(address, stream, result), daemon=True)
            thread.start()
            result["thread"] = thread
    for _ in cases:
        upstream.stdout.readline()
    time.sleep(1)
    run(*inside("ip", "link", "set", f"{NAMESPACE}b", "down"))
    lost, failed = time.monotonic(), False
    for case, result in cases.items():
        result["thread"].join(max(0, lost + LIMIT - time.monotonic()))
        has_ended = "end" in result and not result["is_complete"]
        failed |= not has_ended
        took = f"{result['end'] - lost:.1f} s" if "end" in result else f"no end within {LIMIT} s"
        print(f"{case}: {took}, status {result.get('status')}, complete: {result.get('is_complete')}")
    return failed


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    processes = []
    try:
        set_up_network()
        with tempfile.TemporaryDirectory() as directory:
            failed = measure(os.path.abspath(sys.argv[1]), directory, processes)
            sys.exit(1 if failed else 0)
    finally:
        for process in processes:
            process.kill()
        subprocess.run(["ip", "netns", "del", NAMESPACE], capture_output=True)
        subprocess.run(["ip", "link", "del", f"{NAMESPACE}a"], capture_output=True)


main()
