/** Where a server of the network block device protocol is found. */
import { isIPv4, isIPv6 } from "node:net"

export type Address =
  | { readonly _tag: "Unix"; readonly path: string }
  | { readonly _tag: "Tcp"; readonly host: string; readonly port: number }

/** As the kernel limits it, in bytes. */
export const MAX_SOCKET_PATH = 107

const isLoopback = (host: string): boolean => isIPv4(host) ? host.startsWith("127.") : host === "::1"

/**
 * Reads `ADDRESS:PORT`, an address of IPv6 in brackets. A string is what is wrong with it: nothing but this machine's
 * own addresses will do, since the protocol neither encrypts nor asks who is there.
 */
export const parseTcp = (text: string): Address | string => {
  const [, bracketed, plain, digits] = /^(?:\[([^\]]*)\]|([^:]*)):(\d{1,5})$/.exec(text) ?? []
  const given = bracketed ?? plain
  const port = Number(digits)
  if (given === undefined || port > 65_535 || (bracketed !== undefined && !isIPv6(bracketed))) {
    return `expected ADDRESS:PORT, such as 127.0.0.1:10809 or [::1]:10809, got "${text}"`
  }
  const host = given === "localhost" ? "127.0.0.1" : given
  return isLoopback(host)
    ? { _tag: "Tcp", host, port }
    : `"${given}" is not an address of this machine alone, such as 127.0.0.1 or [::1]; use ssh -L to reach it from elsewhere`
}

/** What other programs call it. */
export const uriOf = (address: Address): string => {
  if (address._tag === "Unix") return `nbd+unix:///?socket=${encodeURIComponent(address.path).replaceAll("%2F", "/")}`
  const { host, port } = address
  return `nbd://${isIPv6(host) ? `[${host}]` : host}:${port}/`
}
