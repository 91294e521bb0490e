using System.Text.RegularExpressions;
using FluentAssertions;
using k8s;
using k8s.Models;
using Npgsql;

namespace Banking.Tests;

/// <summary>What deploy/ has for Kubernetes, systemd and Compose is valid, and its objects find each other.</summary>
public sealed class DeployTests(TestDatabase database)
{
    // Strict: a member that its type does not have is refused.
    private readonly List<object> objects = KubernetesYaml.LoadAllFromString(Repository.Read("deploy/kubernetes.yaml"), typeMap: null, strict: true);

    [Fact]
    public void Every_object_of_kubernetes_has_only_members_that_its_type_has()
    {
        objects.Select(one => one.GetType().Name).Should().Equal(
            "V1Deployment", "V1Service", "V1PodDisruptionBudget", "V1Ingress", "V1NetworkPolicy", "V1CronJob", "V1CronJob");
        // The client's types take any version and kind, so a wrong pair is found where the type is chosen by it.
        objects.Cast<IKubernetesObject>().Select(one => $"{one.ApiVersion} {one.Kind}").Should().Equal(
            "apps/v1 Deployment", "v1 Service", "policy/v1 PodDisruptionBudget", "networking.k8s.io/v1 Ingress", "networking.k8s.io/v1 NetworkPolicy",
            "batch/v1 CronJob", "batch/v1 CronJob");
    }

    [Fact]
    public void The_objects_select_the_pods_of_the_service_and_no_others()
    {
        var deployment = One<V1Deployment>();
        var pods = deployment.Spec.Template.Metadata.Labels;
        var jobs = objects.OfType<V1CronJob>().Select(job => job.Spec.JobTemplate.Spec.Template.Metadata.Labels).ToList();

        IDictionary<string, string>[] selectors =
        [
            deployment.Spec.Selector.MatchLabels, One<V1Service>().Spec.Selector, One<V1PodDisruptionBudget>().Spec.Selector.MatchLabels,
            One<V1NetworkPolicy>().Spec.PodSelector.MatchLabels, deployment.Spec.Template.Spec.TopologySpreadConstraints.Single().LabelSelector.MatchLabels,
        ];
        foreach (var selector in selectors)
        {
            selector.Should().BeSubsetOf(pods);
            jobs.Should().NotContain(job => selector.All(job.Contains));
        }

        One<V1NetworkPolicy>().Spec.Ingress.Single().FromProperty.Where(peer => peer.PodSelector is not null)
            .Should().ContainSingle().Which.PodSelector.MatchLabels.Should().BeEquivalentTo(jobs[1], "the job that keeps the head");
    }

    [Fact]
    public void From_outside_only_the_api_has_a_route_and_only_named_namespaces_reach_the_port()
    {
        var path = One<V1Ingress>().Spec.Rules.Single().Http.Paths.Should().ContainSingle().Subject;
        var service = One<V1Service>();
        var port = One<V1Deployment>().Spec.Template.Spec.Containers.Single().Ports.Single();

        (path.Path, path.PathType).Should().Be(("/api", "Prefix"));
        (path.Backend.Service.Name, path.Backend.Service.Port.Name).Should().Be((service.Metadata.Name, service.Spec.Ports.Single().Name));
        service.Spec.Ports.Single().TargetPort.Value.Should().Be(port.Name);
        One<V1NetworkPolicy>().Spec.Ingress.Single().Ports.Single().Port.Value.Should().Be(port.Name);
        One<V1NetworkPolicy>().Spec.Ingress.Single().FromProperty.Where(peer => peer.NamespaceSelector is not null)
            .Should().HaveCount(2).And.OnlyContain(peer => peer.NamespaceSelector.MatchLabels.Keys.Single() == "kubernetes.io/metadata.name");
        One<V1Deployment>().Spec.Template.Metadata.Annotations["prometheus.io/port"].Should().Be($"{port.ContainerPort}");
    }

    [Fact]
    public void Every_container_runs_without_privileges_and_with_a_limit()
    {
        List<V1PodSpec> pods = [One<V1Deployment>().Spec.Template.Spec, .. objects.OfType<V1CronJob>().Select(job => job.Spec.JobTemplate.Spec.Template.Spec)];

        pods.Should().OnlyContain(pod => pod.SecurityContext.RunAsNonRoot == true && pod.AutomountServiceAccountToken == false);
        pods.SelectMany(pod => pod.Containers.Concat(pod.InitContainers ?? [])).Should().OnlyContain(container =>
            container.SecurityContext.AllowPrivilegeEscalation == false && container.SecurityContext.ReadOnlyRootFilesystem == true
            && container.SecurityContext.Capabilities.Drop.Single() == "ALL" && container.Resources.Limits.ContainsKey("memory"));
    }

    [Fact]
    public async Task The_unit_of_systemd_is_valid_and_gives_the_service_time_to_stop()
    {
        var systemd = Run.Find("systemd-analyze");
        Assert.SkipWhen(systemd is null, "The unit is checked with systemd-analyze, and this machine has none.");
        var folder = Directory.CreateTempSubdirectory();
        var unit = Path.Combine(folder.FullName, "core-banking.service");
        // The check looks for the program too. Its place differs on this machine.
        await File.WriteAllTextAsync(unit, Repository.Read("deploy/core-banking.service").Replace("/usr/bin/dotnet", Environment.ProcessPath!));

        var valid = await Run.ToEndAsync(new(systemd, ["verify", unit]));
        var exposed = await Run.ToEndAsync(new(systemd, ["security", "--offline=true", "--threshold=20", unit]));

        folder.Delete(recursive: true);
        (valid.ExitCode, valid.Output + valid.Errors).Should().Be((0, ""), "it names what it ignores, and exits with 0");
        exposed.ExitCode.Should().Be(0, "an exposure of at most 2 of 10: {0}", exposed.Output);
    }

    [Fact(Explicit = true), Trait("Category", "Long")]
    public async Task A_second_book_in_kubernetes_has_all_objects_in_a_namespace_of_its_own_and_every_use_of_the_database_names_it()
    {
        var kubectl = Run.Find("kubectl");
        Assert.SkipWhen(kubectl is null, "The second book is built with kubectl, and this machine has none.");

        var built = await Run.ToEndAsync(new(kubectl, ["kustomize", "--load-restrictor", "LoadRestrictionsNone", Path.Combine(Repository.Folder, "deploy", "savings")]));

        built.ExitCode.Should().Be(0, built.Errors);
        var second = KubernetesYaml.LoadAllFromString(built.Output, typeMap: null, strict: true);
        second.Select(one => one.GetType()).Should().BeEquivalentTo(objects.Select(one => one.GetType()));
        second.Cast<IKubernetesObject<V1ObjectMeta>>().Should().OnlyContain(one => one.Metadata.NamespaceProperty == "savings");
        var callers = second.OfType<V1CronJob>().Select(job => job.Spec.JobTemplate.Spec.Template.Spec).Append(second.OfType<V1Deployment>().Single().Spec.Template.Spec)
            .SelectMany(pod => pod.Containers.Concat(pod.InitContainers ?? [])).Where(container => container.Env.Any(one => one.Name == "ConnectionStrings__Banking")).ToList();
        callers.Should().HaveCount(3).And.OnlyContain(container => container.Env.Any(one => one.Name == "Banking__Schema" && one.Value == "savings"));
        second.OfType<V1Ingress>().Single().Spec.Rules.Single().Host.Should().NotBe(One<V1Ingress>().Spec.Rules.Single().Host)
            .And.Be(second.OfType<V1Ingress>().Single().Spec.Tls.Single().Hosts.Single());
    }

    [Fact(Explicit = true), Trait("Category", "Long")]
    public async Task Two_books_in_compose_are_made_and_served_each_by_a_role_of_its_own()
    {
        var compose = Run.Find("docker-compose");
        Assert.SkipWhen(compose is null, "The files of Compose are merged with docker-compose, and this machine has none.");
        var merged = await Run.ToEndAsync(new(compose, ["-f", "compose.yaml", "-f", "deploy/two-books.compose.yaml", "config"]) { WorkingDirectory = Repository.Folder });
        merged.ExitCode.Should().Be(0, merged.Errors);
        var suffix = $"{Guid.NewGuid():N}";
        var services = (IDictionary<object, object>)KubernetesYaml.Deserialize<Dictionary<string, object>>(merged.Output)["services"];
        string[] same = ["cap_drop", "image", "build", "logging", "mem_limit", "pids_limit", "read_only", "restart", "security_opt", "stop_grace_period"];
        same.Select(member => Of("savings")[member]).Should().BeEquivalentTo(same.Select(member => Of("banking")[member]));
        await using var owner = new BookInspector(database.ConnectionString, Name("banking"));

        // In the order in which they wait for each other.
        foreach (var migrate in new[] { "migrate", "migrate-savings" })
        {
            (await ServiceProcess.RunAsync([.. Name($"{Of(migrate)["command"]}").Split(' ')], [.. EnvironmentOf(migrate).Select(one => (one.Key, one.Value))])).ExitCode.Should().Be(0);
        }

        foreach (var command in ((IEnumerable<object>)Of("passwords")["command"]).Skip(1))
        {
            await owner.ExecuteAsync(Name($"{command}").Replace("--command=", ""));
        }

        foreach (var book in new[] { "banking", "savings" })
        {
            var environment = EnvironmentOf(book);
            new NpgsqlConnectionStringBuilder(environment["ConnectionStrings__Banking"]).Username.Should().Be(Name($"{book}_service"));
            await using (var service = new ServiceProcess(environment["ConnectionStrings__Banking"], environment["Banking__Schema"]) { GetsBook = false })
            {
                await service.StartAsync();
                (await service.OpenAsync("1")).Should().BePositive();
            }

            await owner.ExecuteAsync($"DROP OWNED BY {Name($"{book}_service")}; DROP ROLE {Name($"{book}_service")};");
        }

        IDictionary<object, object> Of(string service) => (IDictionary<object, object>)services[service];

        // The roles and the books of this test alone.
        string Name(string text) => Regex.Replace(text, "(banking|savings)(_service)?", $"$0_{suffix}");

        Dictionary<string, string> EnvironmentOf(string service)
        {
            var set = ((IDictionary<object, object>)Of(service)["environment"]).ToDictionary(one => $"{one.Key}", one => $"{one.Value}");
            var (own, here) = (new NpgsqlConnectionStringBuilder(set["ConnectionStrings__Banking"]), new NpgsqlConnectionStringBuilder(database.ConnectionString));
            (own.Host, own.Database, set["Banking__Schema"]) = own.Host == "database" && own.Database == "banking"
                ? (here.Host, here.Database, Name(set.GetValueOrDefault("Banking__Schema", "banking")))
                : throw new InvalidOperationException("Another database.");
            own.Port = here.Port;
            (own.Username, own.Password) = own.Username == "banking" ? (here.Username, here.Password) : (Name(own.Username!), Name(own.Password!));
            set["ConnectionStrings__Banking"] = own.ConnectionString;
            return set;
        }
    }

    [Fact(Explicit = true), Trait("Category", "Long")]
    public async Task The_books_on_citus_are_made_at_the_coordinator_with_their_triggers()
    {
        var compose = Run.Find("docker-compose");
        Assert.SkipWhen(compose is null, "The file of Compose is read with docker-compose, and this machine has none.");

        var read = await Run.ToEndAsync(new(compose, ["-f", "deploy/citus/compose.yaml", "config"]) { WorkingDirectory = Repository.Folder });

        read.ExitCode.Should().Be(0, read.Errors);
        var services = (IDictionary<object, object>)KubernetesYaml.Deserialize<Dictionary<string, object>>(read.Output)["services"];
        foreach (var name in new[] { "migrate-banking", "migrate-savings" })
        {
            var environment = (IDictionary<object, object>)((IDictionary<object, object>)services[name])["environment"];
            var owner = new NpgsqlConnectionStringBuilder($"{environment["ConnectionStrings__Banking"]}");
            owner.Host.Should().Be("coordinator");
            owner.Options.Should().Be("-c citus.enable_schema_based_sharding=on -c citus.enable_unsafe_triggers=on");
        }
    }

    private T One<T>() => objects.OfType<T>().Single();
}
