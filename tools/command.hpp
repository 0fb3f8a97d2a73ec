#pragma once

/// The subcommands of `ixcap`, one file each.
///
/// Each function adds its subcommand to the application. When it is the one given, its callback runs and leaves the
/// exit status in `status`: 0, or 1 on any error. Data goes to standard output, talk to standard error. An ixcap::Error
/// that leaves a callback is printed as one line by main().

#include <CLI/CLI.hpp>

namespace ixcap::tools {

void add_bind_command(CLI::App& application, int& status);
void add_capture_command(CLI::App& application, int& status);
void add_control_command(CLI::App& application, int& status);
void add_devices_command(CLI::App& application, int& status);
void add_doctor_command(CLI::App& application, int& status);
void add_emulate_command(CLI::App& application, int& status);
void add_filter_command(CLI::App& application, int& status);
void add_read_command(CLI::App& application, int& status);
void add_send_command(CLI::App& application, int& status);
void add_stats_command(CLI::App& application, int& status);
void add_unbind_command(CLI::App& application, int& status);

}  // namespace ixcap::tools
