/**
 * Brings Ceph, its object gateway and Consul up before the tests and down after them. All live in one directory that is
 * removed afterwards; with BACKY_TEST_SERVICES=DIR they stay up there, so that the next run begins at once. With
 * BACKY_TEST_ONLY=ceph neither the gateway nor Consul is brought up, for the tests that need none.
 */
import { execFileSync } from "node:child_process"
import { mkdirSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

const script = (name: string) => fileURLToPath(new URL(name, import.meta.url))

/** Runs a script that answers with shell code, and takes the variables over that it sets. */
const adopt = (name: string, directory: string, env: Record<string, string>) => {
  const code = execFileSync(script(name), [directory], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, ...env }
  })
  for (const [, key = "", value = ""] of code.matchAll(/^export (\w+)=(.*)$/gm)) process.env[key] = value
  for (const [, keys = ""] of code.matchAll(/^unset (.*)$/gm)) {
    for (const key of keys.split(" ")) delete process.env[key]
  }
}

export const LIMITED_TOKEN = "00000000-0000-4000-8000-000000000002"

export const setup = () => {
  const kept = process.env["BACKY_TEST_SERVICES"]
  const directory = kept ?? mkdtempSync(join(tmpdir(), "backy-services-"))
  const cache = process.env["CONSUL_UP_CACHE"] ?? join(tmpdir(), "backy-consul")
  mkdirSync(directory, { recursive: true })
  mkdirSync(cache, { recursive: true })
  const ceph = join(directory, "ceph")
  const consul = join(directory, "consul")
  const onlyCeph = process.env["BACKY_TEST_ONLY"] === "ceph"
  adopt("ceph-up", ceph, {
    CEPH_UP_PACKAGES: `qemu-utils qemu-block-extra${onlyCeph ? "" : " qemu-system-common"}`
  })
  if (!onlyCeph) {
    adopt("rgw-up", ceph, {})
    adopt("consul-up", consul, {
      CONSUL_UP_TOKEN: "00000000-0000-4000-8000-000000000001",
      CONSUL_UP_KV_TOKEN: LIMITED_TOKEN,
      CONSUL_UP_CACHE: cache
    })
  }
  return () => {
    if (kept !== undefined) return
    if (!onlyCeph) execFileSync(script("rgw-up"), ["--down", ceph], { stdio: ["ignore", "ignore", "inherit"] })
    for (const [down, of] of [["consul-down", consul], ["ceph-down", ceph]] as const) {
      if (down === "consul-down" && onlyCeph) continue
      execFileSync(script(down), [of], { stdio: ["ignore", "ignore", "inherit"] })
    }
    rmSync(directory, { recursive: true, force: true })
  }
}
