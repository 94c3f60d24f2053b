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
        name: option:
        let
          value = given.${name} or option.default;
        in
        if option.type.check value then
          value
        else
          throw "services.backy.${name} is not of the type ${option.type.name}"
      ) result.options.services.backy;
    in
    result.config
    // {
      checked = builtins.mapAttrs (_: builtins.typeOf) config.services.backy;
      unknown = builtins.attrNames (removeAttrs given (builtins.attrNames result.options.services.backy));
      described = builtins.mapAttrs (_: option: option.description) result.options.services.backy;
    };
  # Whether a value of an option is taken, whatever else the module does with it.
  takes =
    given:
    let
      result = evaluate (given // { enable = true; });
    in
    (builtins.tryEval (builtins.deepSeq result.checked true)).success;
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
  # option, value: to be refused
  wrong = builtins.filter takes [
    { openFirewall = "yes"; }
    { package = "/usr/bin/backy"; }
    { logFile = "var/log/backy.log"; }
    { configFile = "backy.conf"; }
    { readWritePaths = "/run/backy"; }
    { readWritePaths = [ "run/backy" ]; }
    { rbdTools = [ "ceph" ]; }
    { settings.jobs.web01.source = _: { }; }
  ];
  # to be taken
  right = builtins.filter (given: !(takes given)) [
    { openFirewall = true; }
    { configFile = "/run/secrets/backy.conf"; }
    { configFile = ./module.nix; }
    { rbdTools = [ pkgs.ceph-client ]; }
    { inherit settings; }
  ];
  disabled = removeAttrs (evaluate { }) [
    "checked"
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
