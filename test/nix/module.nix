# Evaluates the NixOS module with a service enabled, without and with a few settings.
nixpkgs: module:
let
  system = builtins.currentSystem;
  inherit (nixpkgs) lib;
  pkgs = nixpkgs.legacyPackages.${system};
  # `module` may have options of one level only: services.backy.*
  evaluate =
    given:
    let
      result = module {
        inherit lib pkgs config;
      };
      config.services.backy = builtins.mapAttrs (
        name: option: given.${name} or option.default
      ) result.options.services.backy;
    in
    result.config
    // {
      unknown = builtins.attrNames (removeAttrs given (builtins.attrNames result.options.services.backy));
      described = builtins.mapAttrs (_: option: option.description) result.options.services.backy;
    };
  settings = {
    schedules.default.daily = {
      interval = "1d";
      keep = 9;
    };
    jobs.web01 = {
      schedule = "default";
      source = {
        type = "file";
        filename = "/var/lib/vm/web01.img";
      };
    };
  };
in
{
  disabled = removeAttrs (evaluate { }) [
    "unknown"
    "described"
  ];
  plain = evaluate {
    enable = true;
    inherit settings;
  };
  special = evaluate {
    enable = true;
    openFirewall = true;
    rbdTools = [ pkgs.ceph-client ];
    readWritePaths = [ "/run/backy" ];
    logFile = "/var/log/other/backy.log";
    settings = settings // {
      global = {
        base-dir = "/mnt/backup";
        telnet-port = 7000;
      };
    };
  };
}
