// Compares the evaluated NixOS module (test/nix/module.nix, as JSON) with contrib/systemd/backy.service, and its config
// file with what backy reads. Arguments: the JSON file, the program as nix built it.
import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

const [path, program] = process.argv.slice(2)
const { disabled, plain, right, special, wrong } = JSON.parse(readFileSync(path, "utf8"))

assert.deepEqual(disabled, {}, "a service that is not enabled changes nothing")
assert.deepEqual(wrong, [], "values of the wrong type are refused")
assert.deepEqual(right, [], "values of the right type are taken")
assert.deepEqual([plain.unknown, special.unknown], [[], []])

const spell = (value) => value === true ? "yes" : Array.isArray(value) ? value.join(" ") : String(value)
const unit = Object.fromEntries(
  readFileSync("contrib/systemd/backy.service", "utf8")
    .split("[Service]")[1].split("[Install]")[0].split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)])
)
const service = Object.fromEntries(
  Object.entries(plain.systemd.services.backy.serviceConfig).map(([key, value]) => [key, spell(value)])
)
// programs lie elsewhere in NixOS
for (const key of ["ExecStart", "ExecReload"]) {
  unit[key] = unit[key].replace(/^\S*\//, "")
  service[key] = service[key].replace(/^\S*\//, "")
}
assert.deepEqual(service, unit, "the module's unit is contrib/systemd/backy.service")

assert.deepEqual(plain.networking.firewall.allowedTCPPorts, [], "the firewall is closed by default")
assert.deepEqual(special.networking.firewall.allowedTCPPorts, [7000])
assert.equal(
  spell(special.systemd.services.backy.serviceConfig.ReadWritePaths),
  "/mnt/backup /var/log/other /run/backy"
)
assert.equal(special.services.logrotate.settings["backy-jobs"].files, "/mnt/backup/*/backy.log")

const place = mkdtempSync(join(tmpdir(), "backy-module-"))
try {
  const { stdout, status } = spawnSync(program, ["scheduler", "--help"], { encoding: "utf8" })
  if (status === 0) assert.match(stdout, /-c/, "the scheduler takes -c")
  const config = join(place, "config")
  // a repository's own config is a job of the daemon's config
  const { jobs, schedules } = JSON.parse(readFileSync(plain.environment.etc["backy.conf"].source, "utf8"))
  writeFileSync(config, JSON.stringify({ source: jobs.web01.source, schedule: schedules.default }))
  const status2 = spawnSync(program, ["-b", place, "status"], { encoding: "utf8" })
  assert.equal(status2.status, 0, status2.stderr)
} finally {
  rmSync(place, { recursive: true, force: true })
}
console.log("the NixOS module evaluates, and its unit is the one in contrib/systemd")
