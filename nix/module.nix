# services.backy: the scheduler as a service. The unit is contrib/systemd/backy.service in NixOS' words; .ci/nix compares
# the two.
self:
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.services.backy;
  yaml = pkgs.formats.yaml { };
  baseDir = cfg.settings.global.base-dir or "/srv/backy";
  telnetPort = cfg.settings.global.telnet-port or 6023;
in
{
  options.services.backy = {
    enable = lib.mkEnableOption "backy, block-based backup of virtual machine images";

    package = lib.mkOption {
      type = lib.types.package;
      default = self.packages.${pkgs.stdenv.hostPlatform.system}.default;
      defaultText = lib.literalExpression "backy.packages.\${system}.default";
      description = "The backy to run.";
    };

    settings = lib.mkOption {
      type = yaml.type;
      default = { };
      example = lib.literalExpression ''
        {
          global.worker-limit = 2;
          # what lies on a file system of its own; marked once by backy scheduler --init-base
          global.base-marker = ".backy-base";
          schedules.default.daily = { interval = "1d"; keep = 9; };
          jobs.web01 = {
            schedule = "default";
            source = { type = "file"; filename = "/var/lib/vm/web01.img"; };
          };
        }
      '';
      description = ''
        The content of backy.conf(5). Everybody can read it: it lies in the nix store. A Consul token belongs into a file
        of your own, see `configFile`.
      '';
    };

    configFile = lib.mkOption {
      type = lib.types.path;
      default = yaml.generate "backy.conf" cfg.settings;
      defaultText = lib.literalExpression "settings, as YAML";
      description = "The config file; replaces `settings`, except where these say the base directory and the port.";
    };

    rbdTools = lib.mkOption {
      type = lib.types.listOf lib.types.package;
      default = [ ];
      example = lib.literalExpression "[ pkgs.ceph-client pkgs.qemu-utils ]";
      description = "Packages with `rbd` and `qemu-nbd`, which sources of type ceph-rbd need.";
    };

    logFile = lib.mkOption {
      type = lib.types.path;
      default = "/var/log/backy.log";
      description = "Where the scheduler logs to. It is rotated weekly.";
    };

    readWritePaths = lib.mkOption {
      type = lib.types.listOf lib.types.path;
      default = [ ];
      description = "What the service may write besides its base directory, such as a status file elsewhere.";
    };

    openFirewall = lib.mkOption {
      type = lib.types.bool;
      default = false;
      description = "Lets others reach the telnet shell, which asks nobody for a password.";
    };
  };

  config = lib.mkIf cfg.enable {
    environment.systemPackages = [ cfg.package ];
    environment.etc."backy.conf".source = cfg.configFile;

    users.users.backy = {
      isSystemUser = true;
      group = "backy";
      home = baseDir;
    };
    users.groups.backy = { };

    systemd.tmpfiles.rules = [
      "d ${baseDir} 0750 backy backy -"
      "f ${cfg.logFile} 0640 backy backy -"
    ];

    systemd.services.backy = {
      description = "backy, block-based backup of virtual machine images";
      documentation = [
        "man:backy(1)"
        "man:backy.conf(5)"
      ];
      after = [
        "network-online.target"
        "remote-fs.target"
        "local-fs.target"
      ];
      wants = [ "network-online.target" ];
      wantedBy = [ "multi-user.target" ];
      unitConfig.RequiresMountsFor = [ baseDir ];
      path = cfg.rbdTools;
      reloadTriggers = [ cfg.configFile ];

      serviceConfig = {
        ExecStart = "${lib.getExe cfg.package} -l ${cfg.logFile} scheduler -c /etc/backy.conf";
        ExecReload = "${pkgs.coreutils}/bin/kill -HUP $MAINPID";
        Restart = "on-failure";
        RestartSec = 30;
        RestartPreventExitStatus = "2 69";
        KillMode = "mixed";
        TimeoutStopSec = 120;

        User = "backy";
        Group = "backy";
        UMask = "0027";
        AmbientCapabilities = "CAP_DAC_READ_SEARCH";
        CapabilityBoundingSet = "CAP_DAC_READ_SEARCH";
        ProtectSystem = "strict";
        ReadWritePaths = [
          baseDir
          (dirOf cfg.logFile)
        ]
        ++ cfg.readWritePaths;
        DevicePolicy = "closed";
        DeviceAllow = "block-* r";
        ProtectHome = "read-only";
        PrivateTmp = true;

        NoNewPrivileges = true;
        LockPersonality = true;
        ProtectClock = true;
        ProtectControlGroups = true;
        ProtectHostname = true;
        ProtectKernelLogs = true;
        ProtectKernelModules = true;
        ProtectKernelTunables = true;
        RemoveIPC = true;
        RestrictAddressFamilies = "AF_UNIX AF_INET AF_INET6 AF_NETLINK";
        RestrictNamespaces = true;
        RestrictRealtime = true;
        RestrictSUIDSGID = true;
        SystemCallArchitectures = "native";
        SystemCallFilter = "@system-service";
        SystemCallErrorNumber = "EPERM";
      };
    };

    services.logrotate.settings = {
      backy = {
        files = cfg.logFile;
        frequency = "weekly";
        rotate = 8;
        compress = true;
        delaycompress = true;
        missingok = true;
        notifempty = true;
        create = "0640 backy backy";
      };
      backy-jobs = {
        files = "${baseDir}/*/backy.log";
        su = "backy backy";
        frequency = "monthly";
        rotate = 3;
        compress = true;
        missingok = true;
        notifempty = true;
      };
    };

    networking.firewall.allowedTCPPorts = lib.optionals cfg.openFirewall [ telnetPort ];
  };
}
