#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Starts the real program on free ports of 127.0.0.1, breaks what it depends on for real, and checks each promise.

usage: serve_test.py PATH-TO-HOLDFAST [unittest options]
"""
import concurrent.futures
import http.client
import json
import os
import re
import select
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import unittest

HOLDFAST = None


class Service:
    """One running `holdfast serve` in a directory of its own."""

    def __init__(self, *flags, data=None, generate=200):
        self.own = data is None
        self.dir = data or tempfile.mkdtemp(prefix="holdfast-serve-")
        self.stderr = open(os.path.join(self.dir, "stderr.txt"), "wb+")
        command = [HOLDFAST, "serve", "--port", "0", "--data", self.dir, "--generate", str(generate), *flags]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.stderr)
        readable, _, _ = select.select([self.process.stdout], [], [], 60)
        line = self.process.stdout.readline() if readable else b""
        if not line:
            self.process.kill()
            self.process.wait(10)
            self.process.stdout.close()
            said = self.errors()
            self.stderr.close()
            raise RuntimeError("serve did not start: " + said)
        self.ready = json.loads(line)
        self.port = self.ready["port"]

    def errors(self):
        self.stderr.seek(0)
        return self.stderr.read().decode()

    def request(self, method, path, body=None, headers=None, port=None, timeout=15):
        connection = http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=timeout)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            response = connection.getresponse()
            response.payload = response.read()
            return response
        finally:
            connection.close()

    def get(self, path, **headers):
        return self.request("GET", path, headers={k.replace("_", "-"): v for k, v in headers.items()})

    def put(self, identity, document, **headers):
        headers = {k.replace("_", "-"): v for k, v in headers.items()}
        return self.request("PUT", "/profiles/" + identity, json.dumps(document), headers)

    def raw(self, data, patience=10.0):
        """Sends bytes as they are; returns all that comes until the server closes or is silent for long."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=patience) as s:
            s.sendall(data)
            answer = b""
            try:
                while True:
                    part = s.recv(65536)
                    if not part:
                        break
                    answer += part
            except (socket.timeout, ConnectionResetError):
                pass
            return answer

    def breakers(self):
        response = self.request("GET", "/admin/breakers", port=self.ready["admin_port"])
        return {b["name"]: b for b in json.loads(response.payload)["breakers"]}

    def act(self, name, action):
        return self.request("POST", "/admin/breakers/" + name, json.dumps({"action": action}),
                            port=self.ready["admin_port"])

    def metric(self, name, **labels):
        """The value of one sample, 0 when there is none."""
        total = 0.0
        for line in self.get("/metrics").payload.decode().splitlines():
            match = re.match(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$", line)
            if not match or match.group(1) != name:
                continue
            found = dict(re.findall(r'([a-z_]+)="([^"]*)"', match.group(2) or ""))
            if all(found.get(k) == v for k, v in labels.items()):
                total += float(match.group(3))
        return total

    def stop(self):
        """SIGTERM; returns the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)
            raise

    def log_lines(self):
        with open(self.ready["log"], encoding="utf-8") as log:
            return [json.loads(line) for line in log]

    def wait_for_log(self, wanted, patience=5.0):
        """The first log line that fits; the log is written in the background."""
        end = time.monotonic() + patience
        while time.monotonic() < end:
            try:
                for line in self.log_lines():
                    if wanted(line):
                        return line
            except json.JSONDecodeError:
                pass  # the last line is being written
            time.sleep(0.05)
        raise AssertionError("no such log line")

    def close(self):
        self.stop()
        self.process.stdout.close()
        self.stderr.close()
        if self.own:
            shutil.rmtree(self.dir, ignore_errors=True)


class Lock:
    """Another process's exclusive lock on a database: to the service, SQLITE_BUSY."""

    def __init__(self, path):
        self.db = sqlite3.connect(path, isolation_level=None, timeout=5)
        self.db.execute("BEGIN EXCLUSIVE")

    def release(self):
        self.db.execute("ROLLBACK")
        self.db.close()


def wait_until(condition, patience=15.0):
    end = time.monotonic() + patience
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return False


def freeze(pid):
    """Stops a process, and returns when each of its threads has stopped: on a busy machine that takes a while."""
    def states():
        for task in os.listdir("/proc/%d/task" % pid):
            with open("/proc/%d/task/%s/stat" % (pid, task), encoding="utf-8") as stat:
                yield stat.read().rpartition(")")[2].split()[0]

    os.kill(pid, signal.SIGSTOP)
    if not wait_until(lambda: set(states()) == {"T"}):
        raise AssertionError("%d did not stop" % pid)


FAST = ["--primary.open_base", "200ms", "--primary.open_max", "400ms", "--replica.open_base", "200ms",
        "--replica.open_max", "400ms", "--cdn.open_base", "200ms", "--cdn.open_max", "400ms",
        "--primary_write.open_base", "200ms", "--primary_write.open_max", "400ms"]


class Shared(unittest.TestCase):
    """Tests that leave the service as they found it share one."""

    @classmethod
    def setUpClass(cls):
        cls.service = Service("--header-timeout", "400ms", "--body-timeout", "400ms", *FAST)

    @classmethod
    def tearDownClass(cls):
        cls.service.close()

    def test_a_read_says_who_served_it_how_old_it_is_and_whose_it_was(self):
        r = self.service.get("/profiles/u000001", X_Correlation_ID="test-read-1")
        self.assertEqual(r.status, 200)
        self.assertEqual(json.loads(r.payload)["id"], "u000001")
        self.assertEqual(r.getheader("X-Served-By"), "primary")
        self.assertLess(int(r.getheader("X-Age-Ms")), 200)  # as long as the read took
        self.assertEqual(r.getheader("X-Correlation-ID"), "test-read-1")
        self.assertEqual(r.getheader("Content-Type"), "application/json")
        made = self.service.get("/profiles/u000001").getheader("X-Correlation-ID")
        self.assertRegex(made, r"^[0-9a-f]{32}$")
        replaced = self.service.get("/profiles/u000001", X_Correlation_ID='quo"te').getheader("X-Correlation-ID")
        self.assertRegex(replaced, r"^[0-9a-f]{32}$")

    def test_head_has_the_head_of_get_and_no_body(self):
        get = self.service.get("/profiles/u000002")
        head = self.service.request("HEAD", "/profiles/u000002")
        self.assertEqual(head.status, 200)
        self.assertEqual(head.payload, b"")
        self.assertEqual(head.getheader("Content-Length"), str(len(get.payload)))
        self.assertEqual(head.getheader("ETag"), get.getheader("ETag"))

    def test_if_none_match_answers_304(self):
        etag = self.service.get("/profiles/u000003").getheader("ETag")
        for value in (etag, "W/" + etag, '"x", ' + etag, "*"):
            r = self.service.get("/profiles/u000003", If_None_Match=value)
            self.assertEqual((r.status, r.payload, r.getheader("ETag")), (304, b"", etag))
        self.assertEqual(self.service.get("/profiles/u000003", If_None_Match='"other"').status, 200)

    def test_traceparent_is_honoured_and_the_log_line_is_found_by_the_correlation_id(self):
        trace = "4bf92f3577b34da6a3ce929d0e0e4736"
        self.service.get("/profiles/u000004", X_Correlation_ID="test-trace-1",
                         traceparent="00-%s-00f067aa0ba902b7-01" % trace)
        line = self.service.wait_for_log(lambda l: l.get("correlation_id") == "test-trace-1")
        self.assertEqual(line["trace_id"], trace)
        self.assertEqual((line["status"], line["tier"], line["method"]), (200, "primary", "GET"))
        self.assertGreater(line["duration_ns"], 0)

    def test_keep_alive_and_pipelining_answer_in_order(self):
        one = b"GET /profiles/%s HTTP/1.1\r\nHost: x\r\n%s\r\n"
        names = [b"u0000%02d" % n for n in range(10, 40)]
        data = b"".join(one % (n, b"Connection: close\r\n" if n == names[-1] else b"") for n in names)
        answer = self.service.raw(data)
        self.assertEqual(re.findall(rb'"id":"(u\d+)"', answer), names)

    def test_bad_requests_get_4xx_and_a_log_line_and_touch_no_tier(self):
        def calls():
            return sum(self.service.metric("holdfast_calls_total", dependency=d)
                       for d in ("primary", "primary_write", "replica", "cdn"))

        before = calls()
        lines_before = len(self.service.log_lines())
        get = b"GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        cases = [(get % path, status) for path, status in [
            (b"/profiles/nobody-has-this-id", 404), (b"/profiles/..%2f..%2fetc", 400), (b"/profiles/../healthz", 400),
            (b"/profiles/%2e%2e", 400), (b"/profiles/a%2Fb", 400), (b"/profiles/a%00", 400), (b"/profiles/a\0b", 400),
            (b"/profiles/" + b"a" * 65, 400), (b"//profiles/u000001", 400), (b"/profiles/u000001/x", 400),
            (b"/nothing", 404), (b"*", 400)]]
        cases += [
            (b"DELETE /profiles/u000001 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 405),
            (b"GET /profiles HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 405),
            (b"GET /profiles/u000001 HTTP/1.1\r\n\r\n", 400),
            (b"GET /profiles/u000001 HTTP/3.7\r\nHost: x\r\n\r\n", 400),
            (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", 400),
            (b"GET /profiles/u000001 HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 9000 + b"\r\n\r\n", 431),
            (b"PUT /profiles/a HTTP/1.1\r\nHost: x\r\nContent-Length: 999999\r\n\r\n", 413),
            (b"PUT /profiles/a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
            (b"PUT /profiles/a HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 3\r\n\r\n{x}", 422),
            (b"PUT /profiles/a HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: text/plain\r\n"
             b"Content-Length: 2\r\n\r\n{}", 415)]
        for data, status in cases:
            with self.subTest(request=data[:60]):
                answer = self.service.raw(data)
                self.assertEqual(answer.split(b" ", 2)[1:2], [b"%d" % status], answer[:200])
                correlation = re.search(rb"X-Correlation-ID: (\S+)", answer).group(1).decode()
                line = self.service.wait_for_log(lambda l: l.get("correlation_id") == correlation)
                self.assertEqual(line["status"], status)
                problem = json.loads(answer.split(b"\r\n\r\n", 1)[1])
                self.assertEqual((problem["status"], problem["correlation_id"]), (status, correlation))
                if status == 405:
                    self.assertIn(b"\r\nAllow: ", answer)
        self.assertEqual(calls(), before)
        self.assertGreaterEqual(len(self.service.log_lines()) - lines_before, len(cases))

    def test_slow_loris_is_cut_off_in_head_and_body(self):
        for start in (b"GET /profiles/u000001 HTTP/1.1\r\nHost: ",
                      b"PUT /profiles/u000001 HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"):
            with socket.create_connection(("127.0.0.1", self.service.port), timeout=5) as s:
                begun = time.monotonic()
                s.sendall(start)
                answer = b""
                while time.monotonic() - begun < 5:  # a byte now and then does not buy more time
                    try:
                        s.sendall(b"x")
                        readable, _, _ = select.select([s], [], [], 0.1)
                        if readable:
                            answer = s.recv(65536)
                            break
                    except (BrokenPipeError, ConnectionResetError):
                        break
                self.assertTrue(answer.startswith(b"HTTP/1.1 408"), answer)
                self.assertLess(time.monotonic() - begun, 2)
        self.service.wait_for_log(lambda l: l.get("status") == 408)

    def test_put_creates_replaces_and_keeps_conditions(self):
        put = self.service.put
        made = put("put-1", {"name": "Ada"})
        self.assertEqual((made.status, made.getheader("Location")), (201, "/profiles/put-1"))
        self.assertEqual(self.service.get("/profiles/put-1").getheader("ETag"), made.getheader("ETag"))
        again = put("put-1", {"name": "Ada"})
        self.assertEqual((again.status, again.getheader("ETag")), (200, made.getheader("ETag")))
        changed = put("put-1", {"name": "Bea"}, If_Match=made.getheader("ETag"))
        self.assertEqual(changed.status, 200)
        stale = put("put-1", {"name": "Carl"}, If_Match=made.getheader("ETag"))
        self.assertEqual((stale.status, stale.getheader("ETag")), (412, changed.getheader("ETag")))
        self.assertEqual(stale.getheader("Content-Type"), "application/problem+json")
        self.assertEqual(put("put-1", {"name": "Carl"}, If_None_Match="*").status, 412)
        self.assertEqual(put("put-2", {"name": "Carl"}, If_Match="*").status, 412)
        self.assertEqual(put("put-2", {"name": "Carl"}, If_None_Match="*").status, 201)
        self.assertEqual(json.loads(self.service.get("/profiles/put-1").payload)["name"], "Bea")
        self.assertEqual(put("put-1", {"name": ""}).status, 422)
        self.assertEqual(put("put-1", {"name": "x", "id": "other"}).status, 422)

    def test_post_without_a_key_creates_each_time(self):
        places = {self.service.request("POST", "/profiles", '{"name":"Ada"}').getheader("Location") for _ in range(3)}
        self.assertEqual(len(places), 3)

    def test_post_with_a_key_runs_once_however_many_ask_at_once(self):
        def post(_):
            return self.service.request("POST", "/profiles", '{"name":"Once"}', {"Idempotency-Key": "key-once"})

        before = self.rows()
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(post, range(32)))
        self.assertEqual({a.status for a in answers}, {201})
        self.assertEqual(len({(a.payload, a.getheader("Location"), a.getheader("ETag")) for a in answers}), 1)
        self.assertEqual(sum(a.getheader("Idempotency-Replayed") == "true" for a in answers), 31)
        self.assertEqual(self.rows() - before, 1)
        other = self.service.request("POST", "/profiles", '{"name":"Other"}', {"Idempotency-Key": "key-once"})
        self.assertEqual(other.status, 422)
        self.assertEqual(self.service.request("POST", "/profiles", '{"name":"x"}',
                                              {"Idempotency-Key": "a b"}).status, 400)

    def rows(self):
        db = sqlite3.connect(self.service.ready["primary"], timeout=5)
        try:
            return db.execute("SELECT count(*) FROM profiles").fetchone()[0]
        finally:
            db.close()

    def test_health_and_metrics_answer(self):
        self.assertEqual(json.loads(self.service.get("/healthz").payload), {"status": "ok"})
        page = self.service.get("/metrics")
        self.assertTrue(page.getheader("Content-Type").startswith("text/plain; version=0.0.4"))
        for line in page.payload.decode().splitlines():
            self.assertRegex(line, r"^(# (HELP|TYPE) \S+ .+|[a-zA-Z_:][a-zA-Z0-9_:]*(\{[^}]*\})? \S+)$")
        self.assertGreater(self.service.metric("holdfast_requests_total"), 0)

    def test_the_library_allocates_nothing_for_requests_of_all_kinds(self):
        page = self.service.get("/metrics").payload.decode()
        if "holdfast_library_visits_total" not in page:
            self.skipTest("this build cannot count: a sanitizer owns malloc")
        before = {n: self.service.metric(n) for n in ("holdfast_library_visits_total", "holdfast_other_allocations_total")}
        for n in range(1, 51):
            self.assertEqual(self.service.get("/profiles/u%06d" % n).status, 200)
        self.service.get("/profiles/nobody-has-this-id")
        self.service.put("u000050", {"name": "Counted"})
        self.service.act("primary", "isolate")
        for n in range(1, 51):
            self.assertEqual(self.service.get("/profiles/u%06d" % n).getheader("X-Served-By"), "replica")
        self.service.act("primary", "release")
        self.assertEqual(self.service.metric("holdfast_library_allocations_total"), 0)
        # A request is in the library at its context, its call's steps, its number and its log line.
        self.assertGreater(self.service.metric("holdfast_library_visits_total"),
                           before["holdfast_library_visits_total"] + 5 * 100)
        self.assertGreater(self.service.metric("holdfast_other_allocations_total"),
                           before["holdfast_other_allocations_total"] + 100)

    def test_the_admin_sees_and_moves_breakers(self):
        names = set(self.service.breakers())
        self.assertEqual(names, {"primary", "primary_write", "replica", "cdn"})
        self.assertEqual(self.service.act("primary", "isolate").status, 200)
        self.assertEqual(self.service.breakers()["primary"]["state"], "forced_open")
        self.assertEqual(self.service.get("/profiles/u000005").getheader("X-Served-By"), "replica")
        self.assertEqual(self.service.act("primary", "force_close").status, 200)
        self.assertEqual(self.service.breakers()["primary"]["state"], "forced_closed")
        self.assertEqual(self.service.act("primary", "release").status, 200)
        self.assertEqual(self.service.breakers()["primary"]["state"], "closed")
        self.assertEqual(self.service.get("/profiles/u000005").getheader("X-Served-By"), "primary")
        self.assertEqual(self.service.act("primary", "explode").status, 422)
        self.assertEqual(self.service.act("nobody", "isolate").status, 404)
        self.service.wait_for_log(lambda l: l.get("breaker") == "primary" and l.get("to") == "forced_open")

    def test_a_second_serve_on_the_same_data_is_refused(self):
        with self.assertRaisesRegex(RuntimeError, "another holdfast serve"):
            Service(data=self.service.dir)


class Faults(unittest.TestCase):
    """Each test breaks something, so each has a service of its own."""

    def start(self, *flags, **options):
        service = Service(*flags, **options)
        self.addCleanup(service.close)
        return service

    def read_many(self, service, names):
        """All answers of reads; none may be a 5xx."""
        answers = [service.get("/profiles/" + n) for n in names]
        self.assertEqual([a.status for a in answers if a.status >= 500], [])
        return answers

    def served_by(self, service, names):
        return [a.getheader("X-Served-By") for a in self.read_many(service, names)]

    def test_reads_fall_from_tier_to_tier_and_come_back(self):
        s = self.start(*FAST, "--replica-lag", "50ms")
        warm = ["u%06d" % n for n in range(1, 31)]
        cold = ["u%06d" % n for n in range(101, 131)]
        colder = ["u%06d" % n for n in range(131, 151)]
        self.assertEqual(set(self.served_by(s, warm)), {"primary"})

        lock = Lock(s.ready["primary"])
        answers = self.read_many(s, warm)
        self.assertEqual({a.getheader("X-Served-By") for a in answers}, {"replica"})
        self.assertEqual({a.status for a in answers}, {200})
        self.assertEqual(s.breakers()["primary"]["state"], "open")
        time.sleep(0.3)  # the lock keeps the replicator from the primary as well, and the age says so
        self.assertGreaterEqual(int(s.get("/profiles/u000001").getheader("X-Age-Ms")), 200)

        replica_dir = os.path.dirname(s.ready["replica"])
        os.rename(replica_dir, replica_dir + ".away")
        self.assertEqual(set(self.served_by(s, warm)), {"cache"})
        self.assertEqual(set(self.served_by(s, cold)), {"cdn"})

        freeze(s.ready["cdn_pid"])
        begun = time.monotonic()
        stuck = self.read_many(s, colder)
        self.assertEqual({a.getheader("X-Served-By") for a in stuck}, {"default"})
        self.assertTrue(all(json.loads(a.payload)["default"] is True for a in stuck))
        self.assertTrue(all(a.getheader("ETag") is None and a.getheader("Cache-Control") == "no-store" for a in stuck))
        self.assertLess(time.monotonic() - begun, 5)  # its breaker opens: not every read waits for the timeout
        self.assertEqual(set(self.served_by(s, warm)), {"cache"})
        self.assertEqual(s.get("/profiles/never-stored").status, 404)

        os.kill(s.ready["cdn_pid"], signal.SIGCONT)
        self.assertTrue(wait_until(lambda: self.served_by(s, colder[:1]) == ["cdn"]))
        os.rename(replica_dir + ".away", replica_dir)
        self.assertTrue(wait_until(lambda: self.served_by(s, colder[:1]) == ["replica"]))
        lock.release()
        self.assertTrue(wait_until(lambda: set(self.served_by(s, warm[:5])) == {"primary"}))
        self.assertEqual(s.breakers()["primary"]["state"], "closed")
        self.assertEqual(s.stop(), 0)

        lines = s.log_lines()
        moves = [(l["from"], l["to"]) for l in lines if l.get("breaker") == "primary"]
        self.assertEqual(moves[0], ("closed", "open"))
        self.assertEqual(moves[-1], ("half_open", "closed"))
        for before, after in zip(moves, moves[1:]):
            self.assertEqual(before[1], after[0])
        closing = [l for l in lines if l.get("breaker") == "primary" and l["to"] == "closed"][-1]
        self.assertEqual(closing["probes"], 3)

    def test_a_primary_that_is_moved_away_is_noticed_and_found_again(self):
        s = self.start(*FAST)
        path = s.ready["primary"]
        self.assertEqual(self.served_by(s, ["u000001"]), ["primary"])
        os.rename(path, path + ".away")
        self.assertEqual(set(self.served_by(s, ["u%06d" % n for n in range(1, 21)])), {"replica"})
        refused = s.put("u000001", {"name": "Nobody"})
        self.assertEqual(refused.status, 503)
        self.assertFalse(os.path.exists(path))
        os.rename(path + ".away", path)
        self.assertTrue(wait_until(lambda: self.served_by(s, ["u000001"]) == ["primary"]))
        self.assertTrue(wait_until(lambda: s.put("u000001", {"name": "Somebody"}).status == 200))

    def test_writes_fail_fast_with_problem_details(self):
        s = self.start(*FAST, "--write-deadline", "500ms")
        lock = Lock(s.ready["primary"])
        slowest = 0.0
        problems = []
        for n in range(30):
            begun = time.monotonic()
            r = s.put("u000001", {"name": "Nobody %d" % n}, X_Correlation_ID="write-%d" % n)
            slowest = max(slowest, time.monotonic() - begun)
            self.assertEqual((r.status, r.getheader("Content-Type")), (503, "application/problem+json"))
            problem = json.loads(r.payload)
            self.assertEqual(problem["type"], "/problems/primary-unavailable")
            self.assertEqual(problem["correlation_id"], "write-%d" % n)
            self.assertEqual(problem["instance"], "/profiles/u000001")
            self.assertGreaterEqual(int(r.getheader("Retry-After")), 1)
            self.assertGreater(problem["retry_after"], 0)
            problems.append(problem)
        self.assertLess(slowest, 1.0)
        self.assertEqual(s.breakers()["primary_write"]["state"], "open")
        # Who was refused by the open breaker is told so, with the rule that opened it, and since when.
        by_breaker = [p for p in problems if p["guard"].get("reason") == "circuit breaker is open"]
        self.assertTrue(by_breaker)
        rules = ("consecutive_failures", "failure_rate", "probe_failed")
        for p in by_breaker:
            guard = p["guard"]
            self.assertEqual((guard["policy"], guard["verdict"]), ("circuit_breaker", "rejected"))
            self.assertIn(guard["cause"], rules)
            self.assertGreater(guard["refusing_for"], 0)
            self.assertIn("primary_write: circuit_breaker refused: open for ", p["detail"])
        self.assertIn(s.breakers()["primary_write"]["cause"], rules)
        self.assertGreater(s.breakers()["primary_write"]["since_ms"], 0)
        before = s.breakers()["primary_write"]["retries"]
        self.assertEqual(s.request("POST", "/profiles", '{"name":"x"}').status, 503)
        self.assertEqual(s.breakers()["primary_write"]["retries"], before)
        lock.release()
        self.assertTrue(wait_until(lambda: s.put("u000001", {"name": "Back"}).status == 200))

    def test_a_post_without_key_is_never_retried_and_one_with_key_is(self):
        s = self.start("--primary_write.consecutive_failures", "0", "--primary_write.min_calls", "1000")
        lock = Lock(s.ready["primary"])
        s.request("POST", "/profiles", '{"name":"x"}')
        plain = s.breakers()["primary_write"]
        self.assertEqual((plain["attempts"], plain["retries"]), (1, 0))
        s.request("POST", "/profiles", '{"name":"x"}', {"Idempotency-Key": "k1"})
        keyed = s.breakers()["primary_write"]
        self.assertEqual((keyed["attempts"], keyed["retries"]), (4, 2))
        lock.release()

    def test_a_put_waits_out_a_short_lock_by_retrying(self):
        s = self.start("--primary_write.attempts", "8", "--primary_write.backoff_base", "60ms")
        lock = Lock(s.ready["primary"])
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            pending = pool.submit(s.put, "u000001", {"name": "Patient"})
            time.sleep(0.1)
            lock.release()
            self.assertEqual(pending.result().status, 200)
        self.assertGreater(s.breakers()["primary_write"]["retries"], 0)

    def test_writes_that_find_no_place_wait_in_the_queue_that_they_are_given(self):
        s = self.start("--primary_write.bulkhead", "1", "--primary_write.bulkhead_queue", "64",
                       "--primary_write.bulkhead_wait", "9s", "--primary_write.attempt_timeout", "9s",
                       "--write-deadline", "20s")
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            statuses = list(pool.map(lambda i: s.put(f"u{1 + i % 200:06d}", {"name": "Patient"}).status, range(400)))
        self.assertEqual(statuses, [200] * 400)
        seen = s.breakers()["primary_write"]["bulkhead"]
        self.assertEqual((seen["queue"], seen["waiting"], seen["refused"], seen["timed_out"], seen["in_flight"]), (64, 0, 0, 0, 0))
        self.assertGreater(seen["served"], 0)
        self.assertEqual(s.metric("holdfast_bulkhead_waiting", dependency="primary_write"), 0)

    def test_a_conditional_put_is_required_when_configured(self):
        s = self.start("--require-if-match", "on")
        r = s.put("u000001", {"name": "Nobody"})
        self.assertEqual(r.status, 428)
        self.assertEqual(s.put("u000001", {"name": "Ada"}, If_Match=r.getheader("ETag")).status, 200)
        self.assertEqual(s.put("brand-new", {"name": "Ada"}).status, 201)

    def test_a_dead_cdn_process_is_started_again_on_its_port(self):
        s = self.start(*FAST)
        os.kill(s.ready["cdn_pid"], signal.SIGKILL)
        for name in ("primary", "replica"):
            s.act(name, "isolate")
        self.assertTrue(wait_until(lambda: self.served_by(s, ["u000150"]) == ["cdn"]))
        s.wait_for_log(lambda l: l.get("event") == "restarted")

    def take_port(self, port):
        """Listens there as soon as its owner has let go, and before that is started again."""
        end = time.monotonic() + 5
        while True:
            try:
                return socket.create_server(("127.0.0.1", port))
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.002)

    def test_the_cdn_call_carries_the_correlation_id_and_a_child_span(self):
        s = self.start(*FAST)
        for name in ("primary", "replica"):
            s.act(name, "isolate")
        os.kill(s.ready["cdn_pid"], signal.SIGKILL)
        with self.take_port(s.ready["cdn_port"]) as stand:
            stand.settimeout(5)
            with concurrent.futures.ThreadPoolExecutor(1) as pool:
                pending = pool.submit(s.get, "/profiles/u000001", X_Correlation_ID="to-the-cdn",
                                      traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
                peer, _ = stand.accept()
                with peer:
                    head = peer.recv(65536).decode()
                answer = pending.result()
        self.assertEqual((answer.status, answer.getheader("X-Served-By")), (200, "default"))
        self.assertIn("X-Correlation-ID: to-the-cdn\r\n", head)
        span = re.search(r"traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-([0-9a-f]{16})-01\r\n", head)
        self.assertIsNotNone(span, head)
        self.assertNotEqual(span.group(1), "00f067aa0ba902b7")

    def test_sigterm_finishes_what_is_in_flight_and_leaves_a_whole_log(self):
        s = self.start("--drain-timeout", "10s")
        body = b'{"name":"In flight"}'
        with socket.create_connection(("127.0.0.1", s.port), timeout=10) as flying, \
                socket.create_connection(("127.0.0.1", s.port), timeout=10) as idle:
            idle.sendall(b"GET /profiles/u000001 HTTP/1.1\r\nHost: x\r\n\r\n")
            self.assertIn(b"200 OK", idle.recv(65536))
            flying.sendall(b"PUT /profiles/flying HTTP/1.1\r\nHost: x\r\nX-Correlation-ID: flying-1\r\n"
                           b"Content-Length: %d\r\n\r\n" % len(body) + body[:5])
            time.sleep(0.2)
            s.process.send_signal(signal.SIGTERM)
            self.assertEqual(idle.recv(10), b"")  # an idle connection is closed at once
            time.sleep(0.3)
            with self.assertRaises(OSError):
                socket.create_connection(("127.0.0.1", s.port), timeout=2).close()
            self.assertIsNone(s.process.poll())
            flying.sendall(body[5:])
            answer = flying.recv(65536)
            self.assertIn(b"201 Created", answer)
            self.assertIn(b"Connection: close", answer)
        self.assertEqual(s.process.wait(15), 0)
        lines = s.log_lines()
        self.assertTrue(any(l.get("correlation_id") == "flying-1" and l["status"] == 201 for l in lines))
        self.assertEqual(lines[-1]["message"], "stopped")
        self.assertEqual(lines[-1]["log_lost"], 0)
        with self.assertRaises(ProcessLookupError):
            os.kill(s.ready["cdn_pid"], 0)

    def test_without_policies_the_same_faults_reach_the_client(self):
        s = self.start("--policies", "off")
        self.assertEqual(s.get("/profiles/u000001").getheader("X-Served-By"), "primary")
        path = s.ready["primary"]
        os.rename(path, path + ".away")
        r = s.get("/profiles/u000001")
        self.assertEqual(r.status, 500)
        self.assertTrue(r.getheader("X-Correlation-ID"))
        os.rename(path + ".away", path)
        lock = Lock(path)
        begun = time.monotonic()
        self.assertEqual(s.get("/profiles/u000001").status, 500)
        self.assertGreater(time.monotonic() - begun, 2)  # it hangs on the lock, as a naive service does
        lock.release()

    def test_the_admin_listens_apart_when_told_to(self):
        s = self.start("--admin-port", "0")
        self.assertNotEqual(s.ready["admin_port"], s.port)
        self.assertEqual(s.get("/admin/breakers").status, 404)
        self.assertEqual(s.request("POST", "/admin/breakers/primary", '{"action":"isolate"}').status, 404)
        self.assertEqual(len(s.breakers()), 4)

    def test_import_reports_bad_rows_and_loads_the_rest(self):
        data = tempfile.mkdtemp(prefix="holdfast-serve-")
        self.addCleanup(shutil.rmtree, data, ignore_errors=True)
        table = os.path.join(data, "people.csv")
        with open(table, "w", encoding="utf-8") as out:
            out.write("id,name,email\nada,Ada,ada@example.com\n../x,Bad,\nbo,\"Bo, \"\"B\"\"\",\nx,,\n")
        s = self.start("--import", table, data=data)
        self.assertEqual(json.loads(s.get("/profiles/bo").payload)["name"], 'Bo, "B"')
        self.assertEqual(s.get("/profiles/ada").status, 200)
        text = s.errors()
        self.assertIn("people.csv:3: id must be", text)
        self.assertIn('people.csv:5: the profile x: "name" must be a text', text)
        self.assertIn("2 profiles loaded (0 of them replaced), 2 bad rows", text)
        self.assertEqual(s.ready["profiles"], 2)

    def test_data_survives_a_restart_and_keys_too(self):
        data = tempfile.mkdtemp(prefix="holdfast-serve-")
        self.addCleanup(shutil.rmtree, data, ignore_errors=True)
        first = Service(data=data)
        made = first.request("POST", "/profiles", '{"name":"Kept"}', {"Idempotency-Key": "kept"})
        self.assertEqual(first.stop(), 0)
        first.close()
        second = self.start(data=data)
        again = second.request("POST", "/profiles", '{"name":"Kept"}', {"Idempotency-Key": "kept"})
        self.assertEqual((again.status, again.payload), (201, made.payload))
        self.assertEqual(second.get(made.getheader("Location")).status, 200)


class Configuration(unittest.TestCase):
    def refuse(self, text, *flags, name="bad.toml"):
        with tempfile.TemporaryDirectory() as data:
            path = os.path.join(data, name)
            with open(path, "w", encoding="utf-8") as out:
                out.write(text)
            run = subprocess.run([HOLDFAST, "serve", "--config", path, "--data", os.path.join(data, "d"), *flags],
                                 capture_output=True, timeout=30, check=False)
            self.assertEqual(run.returncode, 2, run.stderr)
            self.assertEqual(run.stdout, b"")
            self.assertFalse(os.path.exists(os.path.join(data, "d")))  # nothing was started
            return run.stderr.decode()

    def test_all_mistakes_are_refused_with_file_line_field_and_limit(self):
        text = self.refuse('[server]\nport = 99999\n\n[cache]\nentires = 1\n[log]\nlevel = "loud"\n',
                           "--io-threads", "0")
        self.assertRegex(text, r"bad\.toml:2: server\.port: must be 0 to 65535, is 99999")
        self.assertRegex(text, r"bad\.toml:5: cache\.entires: is no setting; did you mean cache\.entries\?")
        self.assertRegex(text, r"bad\.toml:7: log\.level: must be one of")
        self.assertRegex(text, r"command line: --io-threads: must be 1 to 64, is 0")
        text = self.refuse('{"server": {\n "port": "80"\n}}', name="bad.json")
        self.assertRegex(text, r"bad\.json:2: server\.port: must be a whole number")

    def test_an_unknown_flag_is_exit_code_2(self):
        run = subprocess.run([HOLDFAST, "serve", "--prot", "1"], capture_output=True, timeout=30, check=False)
        self.assertEqual(run.returncode, 2)

    def test_the_printed_configuration_is_taken_back(self):
        with tempfile.TemporaryDirectory() as data:
            path = os.path.join(data, "all.toml")
            first = subprocess.run([HOLDFAST, "serve", "--print-config", "--port", "4711"], capture_output=True,
                                   timeout=30, check=True).stdout
            with open(path, "wb") as out:
                out.write(first)
            second = subprocess.run([HOLDFAST, "serve", "--config", path, "--print-config"], capture_output=True,
                                    timeout=30, check=True).stdout
            self.assertIn(b"port = 4711", first)
            self.assertEqual(first, second)

    def test_each_subcommand_has_help(self):
        for command in ("serve", "cdn", "generate"):
            run = subprocess.run([HOLDFAST, command, "--help"], capture_output=True, timeout=30, check=True)
            self.assertIn(b"Usage:", run.stdout)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    HOLDFAST = os.path.abspath(sys.argv.pop(1))
    unittest.main(verbosity=2)
